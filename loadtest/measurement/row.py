"""One measured load, summed up next to its baseline: the row of a table, the point of a plot.

The speed of a machine drifts, and a hypervisor may take cores at any time. So a load is measured in slices,
the baseline is measured before and after each, and every slice is compared with the two baselines around it.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, median

import numpy as np

from loadtest.generators.recorder import Recorder, Span
from loadtest.measurement.baseline import BaselineRun
from loadtest.measurement.host_stats import HostStats
from loadtest.measurement.statistics import (
    CurvePoint,
    Interval,
    Latency,
    bootstrap_median,
    encode_histogram,
    percentile,
    summarise,
    trace_curve,
)
from service.process.limits import usable_cores

IN_TIME_MS = 1000
TOTAL = "total"  # the stage that is the sum of the others
_MOMENTS = 120
_INSTANT = 1e-9  # seconds of a run that was stopped before it began
_ENOUGH = 4  # slices of an interval


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a load: good answers per second, and their median milliseconds when there are any."""

    throughput: float
    p50_ms: float | None


@dataclass(frozen=True, slots=True)
class BaselineShare:
    """A load in turns with the baseline; intervals are medians over the slices.

    baselines: one before the load and one after each slice.
    share: throughput over the baseline's rate. slowness: median latency over the baseline's.
    client_ms: CPU milliseconds that the clients spend on an answer, measured against a server that computes
    nothing; net: the share of what that leaves of the baseline, as clients and server use the same cores.
    """

    baselines: tuple[BaselineRun, ...]
    slices: tuple[Slice, ...]
    share: Interval
    slowness: Interval | None
    client_ms: float | None = None
    net: Interval | None = None

    @property
    def rate(self) -> float:
        """The median rate of the baselines."""
        return median(run.rate for run in self.baselines)


@dataclass(frozen=True, slots=True)
class Moment:
    """A part of the timeline: good and failed answers per second, latency in milliseconds."""

    second: float
    rate: float
    failures: float
    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Cameras:
    """Frames dropped by the server and skipped by the cameras; slowest one's results over fastest's."""

    count: int
    dropped: int
    skipped: int
    fairness: float


@dataclass(frozen=True, slots=True)
class Row:
    """A load and its results.

    clients or offered: the kind of load, a closed loop or requests per second.
    throughput: good answers per second within `seconds`; latency, curve and stages are of good answers.
    errors, examples: number and first explanation by kind.
    refusals: latency of the answers that were not good; hdr: the latencies as an HdrHistogram.
    in_time: good answers per second that took at most a second.
    sent_late: milliseconds between due and sent, in an open loop.
    metrics: growth of the server's own counters.
    generator_ms: CPU milliseconds of the load test's process per request, during the run.
    """

    name: str
    clients: int | None
    offered: float | None
    seconds: float
    answered: int
    throughput: float
    in_time: float
    latency: Latency
    refusals: Latency
    sent_late: Latency
    errors: Mapping[str, int]
    examples: Mapping[str, str]
    stages: Mapping[str, Latency]
    curve: tuple[CurvePoint, ...]
    hdr: str
    timeline: tuple[Moment, ...]
    generator_ms: float
    host: HostStats
    baseline: BaselineShare | None = None
    cameras: Cameras | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def server_ms(self) -> float | None:
        """CPU milliseconds of the server's processes per request; None where the system hides them."""
        requests = self.answered + sum(self.errors.values())
        if self.host.server is None or not requests:
            return None
        return 1e3 * self.host.server * self.host.seconds / requests

    @property
    def outside_ms(self) -> float | None:
        """Mean milliseconds that a client waited outside the stages that the server reports."""
        if self.latency.mean is None or not self.stages:
            return None
        inside = sum(stage.mean or 0.0 for name, stage in self.stages.items() if name != TOTAL)
        return self.latency.mean - inside


@dataclass(frozen=True, slots=True)
class Load:
    """A load's name, and either its clients or its offered rate."""

    name: str
    clients: int | None = None
    offered: float | None = None


def sum_up(load: Load, recorder: Recorder, *, spans: Sequence[Span], host: HostStats) -> Row:
    """The row of a run that was measured in these spans."""
    requests = recorder.answered + recorder.failed
    seconds = sum(span.seconds for span in spans) or _INSTANT
    within = sum(cut_slice(recorder, span).throughput * span.seconds for span in spans)
    return Row(
        name=load.name,
        clients=load.clients,
        offered=load.offered,
        seconds=seconds,
        answered=recorder.answered,
        throughput=within / seconds,
        in_time=float((recorder.milliseconds <= IN_TIME_MS).sum()) / seconds,
        latency=summarise(recorder.milliseconds),
        refusals=summarise(recorder.refusal_milliseconds),
        sent_late=summarise(recorder.delays),
        errors=dict(recorder.errors.most_common()),
        examples=dict(recorder.examples),
        stages={name: summarise(values) for name, values in recorder.stages.items()},
        curve=trace_curve(recorder.milliseconds),
        hdr=encode_histogram(recorder.milliseconds),
        timeline=slice_timeline(recorder, spans),
        generator_ms=1e3 * host.generator * host.seconds / max(1, requests),
        host=host,
    )


def cut_slice(recorder: Recorder, span: Span) -> Slice:
    """The good answers of a span."""
    inside = (recorder.finished >= span.opened) & (recorder.finished <= span.closed)
    milliseconds = recorder.milliseconds[inside]
    return Slice(
        throughput=len(milliseconds) / span.seconds if span.seconds else 0.0,
        p50_ms=percentile(milliseconds, 50) if len(milliseconds) else None,
    )


def compare_with_baseline(
    slices: Sequence[Slice], baselines: Sequence[BaselineRun], *, client_ms: float | None = None
) -> BaselineShare | None:
    """Slices next to the baselines around them; None without baselines.

    >>> runs = [BaselineRun(90, 11.0), BaselineRun(110, 9.0)]
    >>> compare_with_baseline([Slice(90, 12.0)], runs).share.estimate
    0.9
    """
    if not slices or len(baselines) <= len(slices):
        return None
    rates = _average_neighbours(baselines, lambda run: run.rate)
    times = _average_neighbours(baselines, lambda run: run.p50_ms)
    pairs = list(zip(slices, rates, strict=False))
    slow = [one.p50_ms / time for one, time in zip(slices, times, strict=False) if one.p50_ms is not None]
    net = None
    if client_ms is not None:
        net = _estimate([one.throughput / take_off(rate, client_ms, usable_cores()) for one, rate in pairs])
    return BaselineShare(
        tuple(baselines),
        tuple(slices),
        share=_estimate([one.throughput / rate for one, rate in pairs]),
        slowness=_estimate(slow) if len(slow) == len(slices) else None,
        client_ms=client_ms,
        net=net,
    )


def take_off(rate: float, client_ms: float, cores: int) -> float:
    """The baseline's rate when every photo takes the client's CPU time as well.

    >>> round(take_off(200.0, 0.5, cores=2), 1)  # 10 ms of core time become 10.5
    190.5
    """
    return cores / (cores / rate + client_ms / 1e3)


def slice_timeline(recorder: Recorder, spans: Sequence[Span]) -> tuple[Moment, ...]:
    """The run in equal parts of about a second, or longer ones when there would be too many.

    The time between spans is left out; the last span ends with its last answer.
    """
    finished, failed = recorder.finished, recorder.failed_at
    last = float(max(finished.max(initial=-np.inf), failed.max(initial=-np.inf)))
    if last == -np.inf:
        return ()
    most = max(1, _MOMENTS // len(spans))
    moments: list[Moment] = []
    passed = 0.0
    for span in spans:
        seconds = last - span.opened if span is spans[-1] else span.seconds
        edges = np.linspace(0, seconds, min(most, max(1, round(seconds))) + 1)
        for start, end in itertools.pairwise(edges.tolist()):
            moments.append(_cut_moment(recorder, span.opened + start, end - start, second=passed + start))
        passed += seconds
    return tuple(moments)


def _cut_moment(recorder: Recorder, begin: float, seconds: float, *, second: float) -> Moment:
    finished, failed = recorder.finished, recorder.failed_at
    inside = recorder.milliseconds[(finished > begin) & (finished <= begin + seconds)]
    failures = float(((failed > begin) & (failed <= begin + seconds)).sum())
    return Moment(
        second=second,
        rate=len(inside) / seconds,
        failures=failures / seconds,
        p50=percentile(inside, 50) if len(inside) else None,
        p99=percentile(inside, 99) if len(inside) else None,
    )


def _average_neighbours(
    baselines: Sequence[BaselineRun], figure: Callable[[BaselineRun], float]
) -> list[float]:
    return [mean(pair) for pair in itertools.pairwise(map(figure, baselines))]


def _estimate(ratios: Sequence[float]) -> Interval:
    if len(ratios) < _ENOUGH:
        return Interval(median(ratios))
    return bootstrap_median(ratios)
