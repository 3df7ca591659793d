"""One measured load, summed up: the row of a table, the point of a plot."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from loadtest.hdr import encode_histogram
from loadtest.latencies import CurvePoint, Latency, percentile, summarise, trace_curve
from loadtest.recorder import Recorder
from loadtest.share import FloorShare, cut_slice
from loadtest.surroundings import Surroundings
from loadtest.window import Span

IN_TIME_MS = 1000
TOTAL = "total"  # the stage that is the sum of others
_MOMENTS = 120
_INSTANT = 1e-9  # seconds of a run that was stopped before it began


@dataclass(frozen=True, slots=True)
class Moment:
    """A slice of a run: good and failed answers per second, latency in milliseconds."""

    second: float
    rate: float
    failures: float
    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Cameras:
    """Streams: frames the server dropped, frames the cameras skipped, slowest's results over fastest's."""

    count: int
    dropped: int
    skipped: int
    fairness: float


@dataclass(frozen=True, slots=True)
class Row:
    """A load and what came of it.

    clients or offered: how it was made (closed loop, or requests per second).
    throughput: good answers per second within `seconds`; latency, curve and stages are of good answers.
    errors, examples: count and first explanation by kind.
    refusals: how long the answers that were not good took; hdr: the latencies as an HdrHistogram.
    in_time: good answers per second that took at most a second.
    sent_late: milliseconds between when requests were due and when they were sent, in an open loop.
    metrics: by how much the server's own counters grew meanwhile.
    generator_ms: CPU milliseconds that the load test itself spent on a request.
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
    surroundings: Surroundings
    floor: FloorShare | None = None
    cameras: Cameras | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def outside_ms(self) -> float | None:
        """Mean milliseconds that a client waited and no stage of the server accounts for."""
        if self.latency.mean is None or not self.stages:
            return None
        inside = sum(stage.mean or 0.0 for name, stage in self.stages.items() if name != TOTAL)
        return self.latency.mean - inside


@dataclass(frozen=True, slots=True)
class Load:
    """A load by its name, and by either its clients or its offered rate."""

    name: str
    clients: int | None = None
    offered: float | None = None


def sum_up(load: Load, recorder: Recorder, *, spans: Sequence[Span], surroundings: Surroundings) -> Row:
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
        generator_ms=1e3 * surroundings.generator * surroundings.seconds / max(1, requests),
        surroundings=surroundings,
    )


def slice_timeline(recorder: Recorder, spans: Sequence[Span]) -> tuple[Moment, ...]:
    """The run in equal parts of about a second, or longer ones when there would be too many.

    What lies between spans is left out; the last span lasts until its last answer came.
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
