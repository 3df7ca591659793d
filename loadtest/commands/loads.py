"""Commands that load one server: closed and open loops, a search for the highest rate, cameras."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from loadtest.commands.arguments import Clients, Found, LoadArguments
from loadtest.generators.loops import (
    Arrivals,
    CameraLoop,
    CameraSetup,
    ClientPool,
    ClosedLoop,
    OpenLoop,
    open_clients,
)
from loadtest.generators.recorder import Recorder, Window
from loadtest.generators.rpc import StreamFigures, read_policy
from loadtest.measurement.harness import Harness, Stage
from loadtest.measurement.row import Cameras, Load, Row
from loadtest.reports.content import Finding, Outcome
from loadtest.types import CannotRun, Target, to_message
from service.rpc.generated import segmentation_pb2 as messages

_RAMP_CLIENTS = 16  # enough to fill a server of a few cores
_ABOVE = 1.1  # of the closed loop's throughput: a rate that no server keeps up with


class Closed(LoadArguments):
    """N clients; each sends its next photo when it has an answer."""

    concurrency: Annotated[tuple[Clients, ...], Field(min_length=1)] = Field(
        default=(1, 4, 16), description="numbers of clients, one row each"
    )

    async def run(self, stage: Stage) -> Found:
        return await self.measure(stage, self.measure_rows)

    async def measure_rows(self, harness: Harness) -> Outcome:
        """A row for every number of clients; fewer after a stop."""
        rows = []
        for count in self.concurrency:
            if harness.stop.is_set():
                break
            rows.append(await measure_closed(harness, count, seconds=self.duration))
        return Outcome(tuple(rows))


class Open(LoadArguments):
    """Requests at a rate, answered or not."""

    rate: Annotated[
        tuple[Annotated[float, Field(ge=0.01, le=100_000)], ...],
        Field(min_length=1, description="requests per second, one row each"),
    ]
    arrivals: Arrivals = Field(default="poisson", description="random gaps as with many users, or equal ones")

    async def run(self, stage: Stage) -> Found:
        return await self.measure(stage, self.measure_rows)

    async def measure_rows(self, harness: Harness) -> Outcome:
        """A row for every rate; fewer after a stop."""
        rows = []
        for rate in self.rate:
            if harness.stop.is_set():
                break
            rows.append(await measure_open(harness, rate, arrivals=self.arrivals, seconds=self.duration))
        return Outcome(tuple(rows))


class Ramp(LoadArguments):
    """The highest rate that keeps a goal."""

    p99: float = Field(default=200.0, ge=0.1, le=1e6, description="goal in ms")
    errors: float = Field(default=0.001, ge=0, le=1, description="fraction of the requests that may fail")
    steps: int = Field(default=6, ge=1, le=20, description="rates to try")
    arrivals: Arrivals = Field(default="poisson", description="random gaps as with many users, or equal ones")

    async def run(self, stage: Stage) -> Found:
        return await self.measure(stage, self.search)

    async def search(self, harness: Harness) -> Outcome:
        """The server's throughput in a closed loop first, then the search below that."""
        goal = Goal(self.p99, self.errors)
        rows = [await measure_closed(harness, _RAMP_CLIENTS, seconds=self.duration)]

        async def keeps(rate: float) -> bool:
            rows.append(await measure_open(harness, rate, arrivals=self.arrivals, seconds=self.duration))
            return goal.is_kept(rows[-1])

        limit = _ABOVE * rows[0].throughput
        highest = await find_highest(keeps, limit, steps=self.steps, is_stopped=harness.stop.is_set)
        finding = Finding("highest rate that keeps the goal", highest, "req/s", target=str(goal))
        return Outcome(tuple(rows), (finding,))


class Streams(LoadArguments):
    """Cameras over gRPC."""

    streams: Annotated[tuple[Clients, ...], Field(min_length=1)] = Field(
        default=(1, 4, 8), description="numbers of cameras, one row each"
    )
    fps: float = Field(
        default=30.0, ge=0, le=1000, description="frames per second of each; 0: as fast as the server"
    )
    policy: str = Field(default="latest", description="latest or all frames")

    async def run(self, stage: Stage) -> Found:
        if not self.grpc:
            raise CannotRun("cameras stream over gRPC: give --grpc HOST:PORT")
        read_policy(self.policy)
        return await self.measure(stage, self.measure_rows)

    async def measure_rows(self, harness: Harness) -> Outcome:
        """A row for every number of cameras; fewer after a stop."""
        rows = []
        for count in self.streams:
            if harness.stop.is_set():
                break
            setup = plan_cameras(harness.setup.target, fps=self.fps or None, policy=self.policy)
            rows.append(await measure_cameras(harness, setup, count, seconds=self.duration))
        return Outcome(tuple(rows))


async def measure_closed(harness: Harness, count: int, *, seconds: float) -> Row:
    """The row of `count` clients in a closed loop."""
    photos = harness.setup.photos

    async def replay(target: Target, window: Window, recorder: Recorder) -> None:
        async with open_clients(target, count) as clients:
            await ClosedLoop(clients, photos)(window, recorder)

    load = Load(f"{count} client{'s' if count > 1 else ''}", clients=count)
    async with open_clients(harness.setup.target, count) as clients:
        return await harness.measure(load, ClosedLoop(clients, photos), seconds=seconds, replay=replay)


async def measure_open(harness: Harness, rate: float, *, arrivals: Arrivals, seconds: float) -> Row:
    """The row of a rate in an open loop."""
    pool = ClientPool(harness.setup.target)
    try:
        loop = OpenLoop(pool, harness.setup.photos, rate, arrivals)
        return await harness.measure(Load(f"{rate:.4g}/s", offered=rate), loop, seconds=seconds)
    finally:
        await pool.close()


def plan_cameras(target: Target, *, fps: float | None, policy: str) -> CameraSetup:
    """Cameras that ask for the target's options; raises CannotRun for an unknown policy."""
    options = messages.StreamOptions(segment=to_message(target.ask), policy=read_policy(policy))
    return CameraSetup(options, fps)


async def measure_cameras(harness: Harness, setup: CameraSetup, count: int, *, seconds: float) -> Row:
    """The row of `count` cameras; its latencies are ages of results, from the time when a frame was due."""
    photos = harness.setup.photos
    loop = CameraLoop(harness.setup.target, photos, setup=setup, count=count)

    async def replay(target: Target, window: Window, recorder: Recorder) -> None:
        await CameraLoop(target, photos, setup=setup, count=count)(window, recorder)

    rate = "full speed" if setup.fps is None else f"{setup.fps:.3g}/s"
    load = Load(f"{count} x {rate}", clients=count, offered=setup.fps and setup.fps * count)
    row = await harness.measure(load, loop, seconds=seconds, replay=replay)
    return replace(row, cameras=sum_up_cameras(loop.figures)) if loop.figures else row


def sum_up_cameras(figures: Sequence[StreamFigures]) -> Cameras:
    """The sums of all cameras; fairness is the slowest one's results over the fastest one's.

    >>> sum_up_cameras([StreamFigures(50, 0, 1), StreamFigures(40, 9, 2)])
    Cameras(count=2, dropped=9, skipped=3, fairness=0.8)
    """
    answered = [camera.answered for camera in figures]
    return Cameras(
        count=len(figures),
        dropped=sum(camera.dropped for camera in figures),
        skipped=sum(camera.skipped for camera in figures),
        fairness=min(answered) / max(answered) if any(answered) else 0.0,
    )


@dataclass(frozen=True, slots=True)
class Goal:
    """The limits of an accepted rate: p99 in milliseconds, and the fraction of requests that may fail."""

    p99_ms: float
    errors: float

    def __str__(self) -> str:
        return f"p99 up to {self.p99_ms:g} ms, errors up to {100 * self.errors:g} %"

    def is_kept(self, row: Row) -> bool:
        failed = sum(row.errors.values())
        p99 = row.latency.p99
        return p99 is not None and p99 <= self.p99_ms and failed <= self.errors * (failed + row.answered)


async def find_highest(
    keeps: Callable[[float], Awaitable[bool]], limit: float, *, steps: int, is_stopped: Callable[[], bool]
) -> float:
    """The highest rate below `limit` that keeps the goal, by bisection in `steps` tries; 0 when none does."""
    kept, failed = 0.0, limit
    for _ in range(steps):
        if is_stopped():
            break
        rate = round((kept + failed) / 2, 1)
        if await keeps(rate):
            kept = rate
        else:
            failed = rate
    return kept
