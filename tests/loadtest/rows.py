"""Rows for tests that only look at them."""

import dataclasses
from collections.abc import Sequence

from loadtest.floor import FloorRun
from loadtest.latencies import CurvePoint, Latency
from loadtest.row import Moment, Row
from loadtest.share import Slice, share_floor
from loadtest.surroundings import Surroundings

CALM = Surroundings(
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
    surroundings=CALM,
    floor=share_floor([Slice(100, 40.0)], [FloorRun(104, 19), FloorRun(106, 19)]),
)


def with_floor(row: Row, slices: Sequence[Slice], *floors: FloorRun) -> Row:
    return dataclasses.replace(row, floor=share_floor(slices, floors))


def with_latency(row: Row, *, p50: float | None = None, p99: float | None = None) -> Row:
    return dataclasses.replace(row, latency=Latency(p50=p50, p99=p99))
