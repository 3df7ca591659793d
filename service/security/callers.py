"""Access rules of both transports: callers by their keys, the rate of each key, and the limits of streams."""

import mmap
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from service.errors import Forbidden, RateLimited, Unauthorized
from service.security.keys import Key, find_key, read_key

Cells: TypeAlias = "memoryview[float]"
WIDTH = 8  # bytes of a cell
ROUNDING_S = 1e-6
SEVERAL = (
    "the change would reach only one of several workers; let them follow the models folder with "
    "BLITZ_WATCH_S, or run a single one with BLITZ_WORKERS=1"
)


@dataclass(frozen=True, slots=True)
class RateMeter:
    """Allows a rate of requests, with one second's worth of them at once (a leaky bucket, GCRA).

    The cell holds the time, of the machine's monotonic clock, up to which the rate is used up. Worker
    processes share the cell; where two write at the same moment, one request is not counted. The library
    `limits` does the same, but its processes meet only in a server such as Redis.
    """

    rate: float
    cells: Cells
    place: int

    def count(self) -> RateLimited | None:
        """Count one request, or return the error of one too many, which is not counted."""
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
    """A client that has shown a key; `name` is the key's."""

    name: str
    admin: bool
    meter: RateMeter | None = None

    def count(self) -> RateLimited | None:
        """Count one request or frame, or return the error of one too many."""
        return None if self.meter is None else self.meter.count()

    def charge(self) -> None:
        """Count one request; raises RateLimited where it is one too many."""
        if (error := self.count()) is not None:
            raise error


class Callers:
    """Decides who may call: everybody where there are no `keys`, else clients that show one of them.

    Only one of the `admins` keys may change the models; such a key opens everything else too. `cells` is
    memory in which several processes share their rate meters; `changing` false: nobody may change the models.
    """

    def __init__(
        self,
        keys: Sequence[Key] = (),
        admins: Sequence[Key] = (),
        *,
        cells: "Cells | None" = None,
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
        """The caller, by headers or metadata whose names are in lower case; raises Unauthorized."""
        return self.identify(read_key(headers))

    def identify(self, offered: str) -> Caller:
        """The caller to whom a key belongs; raises Unauthorized."""
        key = find_key(self._keys, offered)
        if key is None:
            fault = "this one is not known" if offered else "there is none"
            raise Unauthorized(f"send your key as X-API-Key, or as Authorization: Bearer; {fault}")
        return self._callers[key]

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a caller may see what only holders of a key may see; everybody, where no key is needed."""
        return not self.required or find_key(self._keys, read_key(headers)) is not None

    def admit_admin(self, headers: Mapping[str, str]) -> Caller:
        """The caller who wants to change the models; raises Unauthorized, and Forbidden without the right."""
        if self._obstacle:
            raise Forbidden(f"nobody may do this here: {self._obstacle}")
        caller = self.admit(headers)
        if not caller.admin:
            raise Forbidden(f"the key {caller.name} may not do this; it needs one of BLITZ_ADMIN_KEYS")
        return caller


def make_cells(count: int) -> Cells:
    """`count` numbers for rate meters, at first 0; a process that is forked shares them with its parent."""
    return memoryview(mmap.mmap(-1, max(count, 1) * WIDTH)).cast("d")


def _make_meters(keys: Sequence[Key], cells: "Cells | None") -> list[RateMeter | None]:
    """A meter for every key that has a rate."""
    cells = make_cells(len(keys)) if cells is None else cells
    return [RateMeter(key.rate, cells, place) if key.rate else None for place, key in enumerate(keys)]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that both transports apply before they answer.

    origins: the sites, beside this service's own, whose pages may open live streams.
    open_metrics: whether /metrics needs no key.
    first_s, idle_s: seconds until a stream's first message, and between two of them.
    """

    callers: Callers = field(default_factory=Callers)
    origins: tuple[str, ...] = ()
    open_metrics: bool = False
    first_s: float = 10.0
    idle_s: float = 300.0


ANYBODY = Rules()
