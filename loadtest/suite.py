"""All claims of this product in one run, against a server of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loadtest.baseline import find_model
from loadtest.checks import (
    Pace,
    Stopped,
    check_alone,
    check_memory,
    check_overload,
    check_streams,
    check_throughput,
)
from loadtest.claims import claim_cold_start
from loadtest.coldstart import measure_cold_start
from loadtest.mixture import mixed_photos
from loadtest.outcome import Outcome
from loadtest.samples import sample_photos
from loadtest.scene import Scene
from loadtest.serving import serving
from loadtest.session import Session, Setup, open_session
from loadtest.stages import run_stages
from loadtest.targets import Target
from service.inference.backends import BackendChoice

QUICK, THOROUGH = Pace(load=6, soak=20, stage=0.4), Pace(load=30, soak=3600, stage=3)
_SOAKED = 20_000  # requests, or as many as go in the time
_SETTLED = 10.0  # seconds of warm-up, until every size, model and error was met by every thread
_COLD_STARTS = 3


@dataclass(frozen=True, slots=True)
class Sides:
    """One server by both transports beside the floor; by REST also beside one image at a time and by itself.

    soaked: with photos of all sizes, and an end to its requests.
    """

    rest: Session
    grpc: Session
    alone: Session
    plain: Session
    soaked: Session


async def run_suite(scene: Scene, models: Path, pace: Pace) -> tuple[Outcome, tuple[Session, ...]]:
    """Every claim with what was found, and everything that was measured for it; fewer when stopped."""
    parts: list[Outcome] = []
    with contextlib.suppress(Stopped):
        async with _serving_sides(scene, models) as sides:
            parts.append(await check_throughput(sides.rest, pace))
            parts.append(over_grpc := await check_throughput(sides.grpc, pace))
            parts.append(lone := await check_alone(sides.alone, pace))
            parts.append(await check_overload(sides.plain, sides.alone, lone.rows[0], pace))
            parts.append(await check_streams(sides.grpc, over_grpc.rows[0], pace))
            parts.append(await check_memory(sides.soaked, pace))
        parts.append(await check_stages(find_model(models, sides.rest.served), scene, pace))
        parts.append(await check_cold_start(models, scene))
    return join(parts), (sides.rest, sides.grpc)


async def check_stages(folder: Path, scene: Scene, pace: Pace) -> Outcome:
    """The stages, one thread, without a server."""
    return await asyncio.to_thread(
        run_stages, folder, BackendChoice(precision="fp32"), seconds=pace.stage, is_stopped=scene.stop.is_set
    )


async def check_cold_start(models: Path, scene: Scene) -> Outcome:
    """Servers that are started, asked once and stopped."""
    photo, seconds = sample_photos()[0], list[float]()
    for _ in range(_COLD_STARTS):
        if scene.stop.is_set():
            raise Stopped
        seconds.append(await measure_cold_start(models, photo))
    return Outcome((), (claim_cold_start(seconds),))


def join(outcomes: Sequence[Outcome]) -> Outcome:
    """Everything of all of them."""
    return Outcome(
        tuple(row for outcome in outcomes for row in outcome.rows),
        tuple(finding for outcome in outcomes for finding in outcome.findings),
        tuple(series for outcome in outcomes for series in outcome.series),
        tuple(sheet for outcome in outcomes for sheet in outcome.sheets),
    )


@contextlib.asynccontextmanager
async def _serving_sides(scene: Scene, models: Path) -> AsyncIterator[Sides]:
    """A server while the block runs, and the sessions with it."""
    async with contextlib.AsyncExitStack() as stack:
        server = stack.enter_context(serving(models))
        metrics = f"http://127.0.0.1:{server.http_port}/metrics"
        over_rest = Setup(
            Target("rest", "127.0.0.1", server.http_port), sample_photos(), models, metrics=metrics
        )
        over_grpc = replace(over_rest, target=Target("grpc", "127.0.0.1", server.grpc_port))
        floorless = replace(over_rest, floor="none")

        async def open_side(setup: Setup) -> Session:
            return await stack.enter_async_context(
                open_session(setup, progress=scene.progress, stop=scene.stop)
            )

        yield Sides(
            rest=await open_side(over_rest),
            grpc=await open_side(over_grpc),
            alone=await open_side(replace(over_rest, floor="alone")),
            plain=await open_side(floorless),
            soaked=await open_side(
                replace(floorless, photos=mixed_photos(), warmup=_SETTLED, requests=_SOAKED)
            ),
        )
