"""Who may call, as what, and how often."""

import mmap
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from service.errors import Forbidden, RateLimited, Unauthorized
from service.security.keys import Key, find_key, read_key

Cells: TypeAlias = "memoryview[float]"
WIDTH = 8  # bytes of a cell
ROUNDING_S = 1e-6
SEVERAL = (
    "it would reach only one of several workers; let them follow the models folder with BLITZ_WATCH_S, or "
    "have one with BLITZ_WORKERS=1"
)


@dataclass(frozen=True, slots=True)
class Meter:
    """Lets through what keeps to a rate, with a second's worth at once.

    The cell holds the time, of the machine's monotonic clock, up to which the rate is used up. Processes may
    share it: where two write at the same moment, one request goes uncounted.
    """

    rate: float
    cells: Cells
    place: int

    def count(self) -> RateLimited | None:
        """Count one, or say that it is too many, which is not counted."""
        now = time.monotonic()
        due = max(self.cells[self.place], now)
        wait = due - now - max(0.0, 1 - 1 / self.rate)
        if wait > ROUNDING_S:
            allowed = f"this key may be used for {self.rate:g} requests or frames a second"
            return RateLimited(f"{allowed}; come back in {wait:.2g} seconds", retry_after_s=wait)
        self.cells[self.place] = due + 1 / self.rate
        return None


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who has shown a key; `name` is the key's."""

    name: str
    admin: bool
    meter: Meter | None = None

    def count(self) -> RateLimited | None:
        """Count one request or frame, or say that it is too many."""
        return None if self.meter is None else self.meter.count()

    def charge(self) -> None:
        """Count one request; raises RateLimited where that is too many."""
        if (error := self.count()) is not None:
            raise error


class Callers:
    """Everybody may call where there are no `keys`; only who has one of `admins` may change the models.

    An admin's key opens all that another does. `cells` is where the meters of several processes meet;
    where `changing` is false nobody may change the models.
    """

    def __init__(
        self,
        keys: Sequence[Key] = (),
        admins: Sequence[Key] = (),
        *,
        cells: Path | None = None,
        changing: bool = True,
    ) -> None:
        self._keys = (*keys, *admins)
        meters = _make_meters(self._keys, cells)
        self._callers = {
            key: Caller(key.name, key in admins, meter) for key, meter in zip(self._keys, meters, strict=True)
        }
        self.required = bool(keys)
        reachable = "" if changing else SEVERAL
        self._obstacle = reachable if admins else "BLITZ_ADMIN_KEYS is not set"

    def admit(self, headers: Mapping[str, str]) -> Caller:
        """Who calls, by headers or metadata whose names are in lower case; raises Unauthorized."""
        return self.identify(read_key(headers))

    def identify(self, offered: str) -> Caller:
        """Whose key that is; raises Unauthorized."""
        key = find_key(self._keys, offered)
        if key is None:
            fault = "this one is not known" if offered else "there is none"
            raise Unauthorized(f"send your key as X-API-Key, or as Authorization: Bearer; {fault}")
        return self._callers[key]

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a caller may be told what takes a key to hear: everybody, where none is needed."""
        return not self.required or find_key(self._keys, read_key(headers)) is not None

    def admit_admin(self, headers: Mapping[str, str]) -> Caller:
        """Who calls to change the models; raises Unauthorized, and Forbidden for who may only call."""
        if self._obstacle:
            raise Forbidden(f"nobody may do this here: {self._obstacle}")
        caller = self.admit(headers)
        if not caller.admin:
            raise Forbidden(f"the key {caller.name} may not do this; it needs one of BLITZ_ADMIN_KEYS")
        return caller


def _make_meters(keys: Sequence[Key], path: Path | None) -> list[Meter | None]:
    """A meter for every key that has a rate."""
    if not any(key.rate for key in keys):
        return [None] * len(keys)
    cells = _open_cells(len(keys), path)
    return [Meter(key.rate, cells, place) if key.rate else None for place, key in enumerate(keys)]


def _open_cells(count: int, path: Path | None) -> Cells:
    """So many numbers, 0 at first; those of a path are shared by all who open it."""
    if path is None:
        return memoryview(bytearray(count * WIDTH)).cast("d")
    with path.open("ab") as file:
        file.truncate(count * WIDTH)
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), count * WIDTH)).cast("d")
