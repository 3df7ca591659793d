"""A load beside the floor: how much of what the machine can do is left by the way to it.

Machines drift, and a hypervisor takes cores when it likes. So the load comes in slices, the floor is measured
before and after each, and every slice is compared with its own two neighbours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median

from loadtest.bootstrap import bootstrap_median
from loadtest.floor import FloorRun
from loadtest.latencies import percentile
from loadtest.recorder import Recorder
from loadtest.window import Span

_ENOUGH = 4  # slices, for an interval to mean something


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a load: good answers per second, and their median milliseconds where there are any."""

    throughput: float
    p50_ms: float | None


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median over slices, with its interval of 95 % where there are enough of them."""

    estimate: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class FloorShare:
    """A load in turns with the floor.

    floors: one before the load and one after each slice.
    share: throughput over the floor's rate; slowness: median latency over the floor's.
    """

    floors: tuple[FloorRun, ...]
    slices: tuple[Slice, ...]
    share: Ratio
    slowness: Ratio | None

    @property
    def rate(self) -> float:
        """The floor's median rate."""
        return median(floor.rate for floor in self.floors)


def share_floor(slices: Sequence[Slice], floors: Sequence[FloorRun]) -> FloorShare | None:
    """Slices beside the floors around them; None without floors.

    >>> share_floor([Slice(90, 12.0)], [FloorRun(90, 11.0), FloorRun(110, 9.0)]).share.estimate
    0.9
    """
    if not slices or len(floors) <= len(slices):
        return None
    rates = _around(floors, lambda floor: floor.rate)
    times = _around(floors, lambda floor: floor.p50_ms)
    shares = [one.throughput / rate for one, rate in zip(slices, rates, strict=False)]
    slow = [one.p50_ms / time for one, time in zip(slices, times, strict=False) if one.p50_ms is not None]
    slowness = _estimate(slow) if len(slow) == len(slices) else None
    return FloorShare(tuple(floors), tuple(slices), _estimate(shares), slowness)


def cut_slice(recorder: Recorder, span: Span) -> Slice:
    """What a recorder has of a span."""
    inside = (recorder.finished >= span.opened) & (recorder.finished <= span.closed)
    milliseconds = recorder.milliseconds[inside]
    return Slice(
        throughput=len(milliseconds) / span.seconds if span.seconds else 0.0,
        p50_ms=percentile(milliseconds, 50) if len(milliseconds) else None,
    )


def _around(floors: Sequence[FloorRun], figure: Callable[[FloorRun], float]) -> list[float]:
    return [mean(pair) for pair in pairwise(map(figure, floors))]


def _estimate(ratios: Sequence[float]) -> Ratio:
    if len(ratios) < _ENOUGH:
        return Ratio(median(ratios))
    found = bootstrap_median(ratios)
    return Ratio(found.estimate, found.low, found.high)
