"""The suite command: all objectives of this product in one run, on a server of its own."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from pydantic import Field

from loadtest.commands.arguments import Arguments, Found
from loadtest.commands.loads import measure_cameras, measure_closed, measure_open, plan_cameras
from loadtest.commands.slo import (
    judge_alone,
    judge_cold_start,
    judge_crowd,
    judge_memory,
    judge_overload,
    judge_recovery,
    judge_streams,
    judge_throughput,
)
from loadtest.commands.soak import run_soak
from loadtest.commands.stages import measure_in_thread
from loadtest.generators.photos import mixed_photos, sample_photos
from loadtest.measurement.baseline import find_model
from loadtest.measurement.harness import Harness, Setup, Stage, open_harness
from loadtest.measurement.row import Row
from loadtest.measurement.server_process import measure_cold_start, serving
from loadtest.reports.content import Finding, Outcome
from loadtest.types import Target
from service.process.limits import usable_cores
from service.settings import models_folder

_CLIENTS = (1, 4, 16)
_CROWD = 64  # clients: more than the queue holds
_LOADS = (1.5, 3.0)  # times the capacity
_CAMERAS = (1, 4, 8)
_CAMERA_LOAD = 2.0  # times the baseline, by all cameras together
_SOAKED = 20_000  # requests, unless the time ends first
_SETTLED_S = 10.0  # of warm-up, in which every thread meets every size, model and error
_COLD_STARTS = 3


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of each load, of the soak at most, and of each line of stages."""

    load: float
    soak: float
    stage: float


QUICK, THOROUGH = Pace(load=6, soak=20, stage=0.4), Pace(load=30, soak=3600, stage=3)


class Stopped(Exception):
    """Ctrl-C came before an objective was measured."""


class Suite(Arguments):
    """All objectives of this product, on a server of its own."""

    quick: bool = Field(
        default=False,
        description="under 5 minutes: shorter loads, and at most 20 s of the soak's 20,000 requests",
    )
    models: Path = Field(default_factory=models_folder, description="folder of models")

    async def run(self, stage: Stage) -> Found:
        """Measures every objective; fewer after a stop."""
        pace, parts = QUICK if self.quick else THOROUGH, list[Outcome]()
        with contextlib.suppress(Stopped):
            async with _open_sides(self.models, stage) as sides:
                parts.append(await check_throughput(sides.rest, pace))
                parts.append(await check_crowd(sides.plain, pace))
                parts.append(over_grpc := await check_throughput(sides.grpc, pace))
                parts.append(lone := await check_alone(sides.alone, pace))
                parts.append(await check_overload(sides, lone.rows[0], pace))
                parts.append(await check_streams(sides.grpc, over_grpc.rows[0], pace))
                parts.append(await check_memory(sides.soaked, pace))
            folder = find_model(self.models, sides.rest.served)
            parts.append(await measure_in_thread(folder, stage, seconds=pace.stage))
            parts.append(await check_cold_start(self.models, stage))
        return Found(join(parts), (sides.rest, sides.grpc))


@dataclass(frozen=True, slots=True)
class Sides:
    """One server, measured in five ways.

    rest, grpc: each transport with the baseline; alone: REST with one image at a time as the baseline;
    plain: REST without a baseline; soaked: REST with photos of all sizes and a limit of requests.
    """

    rest: Harness
    grpc: Harness
    alone: Harness
    plain: Harness
    soaked: Harness


async def check_throughput(harness: Harness, pace: Pace) -> Outcome:
    """Closed loops with the baseline."""
    rows = [await _measure_clients(harness, count, pace.load) for count in _CLIENTS]
    transport = harness.setup.target.transport
    named = tuple(replace(row, name=f"{transport} {row.name}") for row in rows)
    return Outcome(named, tuple(judge_throughput(transport, rows[1:])))


async def check_crowd(harness: Harness, pace: Pace) -> Outcome:
    """Many more clients than cores, next to a few."""
    full = await _measure_clients(harness, max(_CLIENTS), pace.load)
    crowd = await _measure_clients(harness, _CROWD, pace.load)
    return Outcome((crowd,), (judge_crowd(crowd, full),))


async def check_alone(harness: Harness, pace: Pace) -> Outcome:
    """One client in turns with one image at a time on all cores, without a server."""
    row = await _measure_clients(harness, 1, pace.load)
    return Outcome((replace(row, name="alone"),), (judge_alone(row),))


async def check_overload(sides: Sides, calm: Row, pace: Pace) -> Outcome:
    """More than the capacity, which is measured before and after it, then a lone client a second later."""
    rows, findings, again = list[Row](), list[Finding](), list[Row]()
    full = 2 * usable_cores()  # clients: for each core one at work and one on its way
    before = await _measure_clients(sides.plain, full, pace.load / 2)
    for load in _LOADS:
        offered = load * before.throughput
        row = await measure_open(sides.plain, offered, arrivals="poisson", seconds=pace.load)
        again.append(await _measure_clients(sides.alone, 1, pace.load / 2))
        after = await _measure_clients(sides.plain, full, pace.load / 2)
        findings += judge_overload(load, row, mean((before.throughput, after.throughput)))
        rows += [
            replace(before, name=f"before {load:.0%}"),
            replace(row, name=f"load {load:.0%}"),
            replace(again[-1], name=f"alone after {load:.0%}"),
        ]
        before = after
    rows.append(replace(before, name="after overload"))
    return Outcome(tuple(rows), (*findings, judge_recovery(calm, again)))


async def check_streams(harness: Harness, unloaded: Row, pace: Pace) -> Outcome:
    """Cameras that send twice the capacity."""
    rate = unloaded.baseline.rate if unloaded.baseline else unloaded.throughput
    rows: list[Row] = []
    for count in _CAMERAS:
        if harness.stop.is_set():
            raise Stopped
        setup = plan_cameras(harness.setup.target, fps=_CAMERA_LOAD * rate / count, policy="latest")
        rows.append(await measure_cameras(harness, setup, count, seconds=pace.load))
    return Outcome(tuple(rows), tuple(judge_streams(rows, unloaded)))


async def check_memory(harness: Harness, pace: Pace) -> Outcome:
    """Requests of all sizes, models and errors, and the memory of the server's processes meanwhile."""
    soaked = await run_soak(harness, max(_CLIENTS), seconds=pace.soak, mixed=True)
    memory = next((series.values for series in soaked.series if series.name == "memory"), ())
    (row,) = soaked.rows
    named = replace(row, name=f"{row.answered + sum(row.errors.values())} mixed requests")
    return replace(soaked, rows=(named,), findings=tuple(judge_memory(memory)))


async def check_cold_start(models: Path, stage: Stage) -> Outcome:
    """Servers that start, answer once and stop."""
    photo, seconds = sample_photos()[0], list[float]()
    for _ in range(_COLD_STARTS):
        if stage.stop.is_set():
            raise Stopped
        seconds.append(await measure_cold_start(models, photo))
    return Outcome((), (judge_cold_start(seconds),))


def join(outcomes: Sequence[Outcome]) -> Outcome:
    """All parts of all outcomes."""
    return Outcome(
        tuple(row for outcome in outcomes for row in outcome.rows),
        tuple(finding for outcome in outcomes for finding in outcome.findings),
        tuple(series for outcome in outcomes for series in outcome.series),
        tuple(table for outcome in outcomes for table in outcome.tables),
    )


async def _measure_clients(harness: Harness, count: int, seconds: float) -> Row:
    if harness.stop.is_set():
        raise Stopped
    return await measure_closed(harness, count, seconds=seconds)


@contextlib.asynccontextmanager
async def _open_sides(models: Path, stage: Stage) -> AsyncIterator[Sides]:
    """The harnesses of a server that runs during the block."""
    async with contextlib.AsyncExitStack() as stack:
        server = stack.enter_context(serving(models))
        metrics = f"http://127.0.0.1:{server.http_port}/metrics"
        over_rest = Setup(
            Target("rest", "127.0.0.1", server.http_port), sample_photos(), models, metrics=metrics
        )
        over_grpc = replace(over_rest, target=Target("grpc", "127.0.0.1", server.grpc_port))
        plain = replace(over_rest, baseline="none")
        soaked = replace(plain, photos=mixed_photos(), warmup=_SETTLED_S, requests=_SOAKED)
        alone = replace(over_rest, baseline="alone")

        async def open_side(setup: Setup) -> Harness:
            return await stack.enter_async_context(open_harness(setup, stage))

        yield Sides(
            rest=await open_side(over_rest),
            grpc=await open_side(over_grpc),
            alone=await open_side(alone),
            plain=await open_side(plain),
            soaked=await open_side(soaked),
        )
