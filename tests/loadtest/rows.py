"""Rows and stages for tests that need any."""

import asyncio
import dataclasses
from collections.abc import Sequence

from rich.console import Console

from loadtest.measurement.baseline import BaselineRun
from loadtest.measurement.harness import Stage
from loadtest.measurement.host_stats import HostStats
from loadtest.measurement.load_run import Progress
from loadtest.measurement.row import Moment, Row, Slice, compare_with_baseline
from loadtest.measurement.statistics import CurvePoint, Latency

CALM = HostStats(
    seconds=10,
    generator=0.05,
    server=1.9,
    others=0.02,
    steal=0.0,
    late_p99_ms=0.8,
    server_mb=150.0,
    server_descriptors=30,
)
ROW = Row(
    name="4 clients",
    clients=4,
    offered=None,
    seconds=10,
    answered=1000,
    throughput=100,
    in_time=100,
    latency=Latency(mean=41.0, p50=40.0, p90=44.0, p95=45.0, p99=50.0, p999=55.0, max=60.0),
    refusals=Latency(),
    sent_late=Latency(),
    errors={},
    examples={},
    stages={"queue": Latency(mean=20.0), "infer": Latency(mean=19.0), "total": Latency(mean=19.0)},
    curve=(CurvePoint(50, 40.0), CurvePoint(90, 44.0), CurvePoint(100, 60.0)),
    hdr="",
    timeline=(Moment(0, 99, 0, 40.0, 50.0), Moment(1, 101, 0, 40.0, 50.0)),
    generator_ms=0.5,
    host=CALM,
    baseline=compare_with_baseline([Slice(100, 40.0)], [BaselineRun(104, 19), BaselineRun(106, 19)]),
)


def with_baseline(row: Row, slices: Sequence[Slice], *runs: BaselineRun) -> Row:
    return dataclasses.replace(row, baseline=compare_with_baseline(slices, runs))


def with_latency(row: Row, *, p50: float | None = None, p99: float | None = None) -> Row:
    return dataclasses.replace(row, latency=Latency(p50=p50, p99=p99))


def make_stage(stop: asyncio.Event | None = None) -> Stage:
    """A stage that shows nothing."""
    return Stage(Progress(Console(quiet=True)), stop or asyncio.Event())
