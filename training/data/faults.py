"""Values of annotation files, some of which are written in another type than COCO's, and faults in the files.

>>> as_id("6"), as_id(6.0), as_id("six"), as_id(None)
(6, 6, None, None)
>>> as_flag("0"), as_flag(None), as_flag(True), as_flag("perhaps")
(False, False, True, None)
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, TypeAlias, TypeGuard

BadData: TypeAlias = Literal["skip", "refuse"]
EXAMPLES = 3  # named in a message for each kind of fault


class DataRefused(ValueError):
    """The data cannot be used as it is."""


@dataclass(frozen=True, slots=True)
class Fault:
    """kind: a phrase that describes the fault. where: the picture or annotation. file: of the annotations.

    harmless: nothing is lost by it, so that no data are refused for it.
    """

    kind: str
    where: str
    file: str = ""
    harmless: bool = False


def refuse_faults(faults: Sequence[Fault]) -> None:
    """Raises DataRefused that lists the faults, if there are any that lose data."""
    if any(not fault.harmless for fault in faults):
        raise DataRefused(
            f"{describe_faults(faults)}\nCorrect the data, or use --bad-data skip to leave these parts out"
        )


def describe_faults(faults: Iterable[Fault]) -> str:
    """One line for each kind of fault in each file: its number and its first places."""
    places: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for fault in faults:
        places[fault.file, fault.kind].append(fault.where)
    return "\n".join(_describe_kind(file, kind, found) for (file, kind), found in places.items())


def name_reason(reason: str, faults: Sequence[Fault]) -> str:
    """A reason to stop, and below it the faults that led to it, if there are any."""
    return f"{reason}\n{describe_faults(faults)}".rstrip()


def _describe_kind(file: str, kind: str, places: Sequence[str]) -> str:
    more = ", ..." if len(places) > EXAMPLES else ""
    start = f"{file}: " if file else ""
    return f"{start}{len(places)} x {kind}: {', '.join(places[:EXAMPLES])}{more}"


Record: TypeAlias = Mapping[str, Any]
Box: TypeAlias = tuple[float, float, float, float]

LARGEST_ID = 2**53  # a number in JSON is exact up to here
FLAGS = {"": False, "0": False, "false": False, "1": True, "true": True}


def is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63


def is_sequence(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def as_id(value: object) -> int | None:
    """A whole number, also from text; None from anything else."""
    if isinstance(value, str):
        try:
            value = int(value[:32])
        except ValueError:
            return None
    if not is_number(value) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return int(value) if value == int(value) and abs(value) < LARGEST_ID else None


def as_key(value: object) -> int | str | None:
    """The id of a picture: a whole number, or else a text, as some tools write; None from anything else."""
    return value if (number := as_id(value)) is None and isinstance(value, str) and value else number


def as_flag(value: object) -> bool | None:
    """A truth value, also from a number or text; nothing means False. None from anything else."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    return FLAGS.get(value.strip().casefold()) if isinstance(value, str) else None


def as_name(value: object) -> str | None:
    """The name of a category; a number is its text. None from anything else."""
    if isinstance(value, str):
        return value.strip() or None
    return str(value) if is_number(value) else None


def as_box(value: object) -> Box | None:
    """A box of four numbers; None from anything else."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 4:
        return None
    if not all(map(is_number, value)):
        return None
    x, y, width, height = map(float, value)
    return x, y, width, height
