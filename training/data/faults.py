"""Faults of labelled data: how they are named, counted, and refused."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

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
