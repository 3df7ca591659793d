"""Everything the commands share: the server, the photos, the floor, and how a run is stopped."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loadtest.baseline import FloorKind, plan_floor
from loadtest.clients import Client, Photo, open_client
from loadtest.errors import CannotRun
from loadtest.floor import Floor, FloorRun
from loadtest.measurement import Bounds, Drive, Measurement
from loadtest.metrics import scrape, subtract
from loadtest.probe import Served, probe
from loadtest.processes import find_listeners
from loadtest.progress import Progress
from loadtest.row import Load, Row
from loadtest.share import Slice, share_floor
from loadtest.targets import Target

_FLOOR_SECONDS = 3.0  # at most, and half of the load beside it
_FRESH_SECONDS = 2.0
_SLICE_SECONDS, _MOST_SLICES = 1.0, 12
_LEAD = 0.25  # seconds from the start of a slice until it counts: by then the server is as full as it gets


@dataclass(frozen=True, slots=True)
class Setup:
    """What the operator chose.

    warmup: seconds before each load; requests: at most in one; metrics: URL of the server's Prometheus page.
    """

    target: Target
    photos: tuple[Photo, ...]
    models_dir: Path
    floor: FloorKind = "processes"
    warmup: float = 1.0
    requests: int = 1_000_000
    metrics: str | None = None


class Session:
    """A server that answers, and what is needed to measure it."""

    def __init__(self, setup: Setup, served: Served, *, progress: Progress, stop: asyncio.Event) -> None:
        self.setup = setup
        self.served = served
        self.stop = stop
        self.notes: list[str] = []
        self.server_pids = find_listeners(setup.target.port) if setup.target.is_local else ()
        self._progress = progress
        self._floor: Floor | None = None
        self._last_floor: tuple[float, FloorRun] | None = None  # when it ended

    async def measure(self, load: Load, drive: Drive, *, seconds: float, sliced: bool = False) -> Row:
        """A load between two measurements of the floor; sliced, it takes turns with it for as long."""
        bounds = Bounds(self.setup.warmup, self.setup.requests, self.stop)
        measurement = Measurement(
            load, drive, bounds=bounds, server_pids=self.server_pids, progress=self._progress
        )
        counted = await self._scrape()
        await measurement.warm_up()
        count = count_slices(seconds) if sliced and self._floor else 1
        slices, floors = list[Slice](), [self._fresh_floor() or await self._measure_floor(seconds / count)]
        while len(slices) < count and not (slices and self.stop.is_set()):
            slices.append(await measurement.measure(seconds / count, lead=_LEAD if count > 1 else 0.0))
            floors.append(await self._measure_floor(seconds / count))
        row = replace(measurement.sum_up(), metrics=subtract(counted, await self._scrape()))
        known = [floor for floor in floors if floor]
        return replace(row, floor=share_floor(slices, known))

    def open_client(self) -> Client:
        """A client of the server, with a connection of its own."""
        return open_client(self.setup.target)

    @contextlib.asynccontextmanager
    async def clients(self, count: int) -> AsyncIterator[Sequence[Client]]:
        """So many clients, each with a connection of its own."""
        clients = [self.open_client() for _ in range(count)]
        try:
            yield clients
        finally:
            await asyncio.gather(*(client.close() for client in clients))

    async def open_floor(self) -> None:
        """Make the floor ready, or note why there is none."""
        kind, target = self.setup.floor, self.setup.target
        if kind == "none":
            return
        try:
            plan = plan_floor(
                kind, self.setup.models_dir, served=self.served, target=target, photos=self.setup.photos
            )
            self._progress.note("opening the model for the in-process floor")
            self._floor = await asyncio.to_thread(Floor, plan)
        except CannotRun as error:
            self.notes.append(f"no floor: {error}")

    def close(self) -> None:
        if self._floor:
            self._floor.close()

    async def _scrape(self) -> dict[str, float]:
        setup = self.setup
        return await scrape(setup.metrics, setup.target.credentials) if setup.metrics else {}

    def _fresh_floor(self) -> FloorRun | None:
        """The last floor, if that was just now."""
        if self._last_floor is None or time.perf_counter() - self._last_floor[0] > _FRESH_SECONDS:
            return None
        return self._last_floor[1]

    async def _measure_floor(self, seconds: float) -> FloorRun | None:
        if self._floor is None:
            return None
        if self.stop.is_set():
            return self._last_floor[1] if self._last_floor else None
        self._progress.note("measuring the in-process floor")
        run = await self._floor.measure(min(_FLOOR_SECONDS, seconds / 2))
        if run is None:
            self.notes.append("no floor any more: its process died")
            self._floor = None
            return None
        self._last_floor = (time.perf_counter(), run)
        return run


def count_slices(seconds: float) -> int:
    """How many slices of about a second, or longer ones when there would be too many.

    >>> count_slices(0.3), count_slices(6), count_slices(60)
    (1, 6, 12)
    """
    return min(_MOST_SLICES, max(1, round(seconds / _SLICE_SECONDS)))


@contextlib.asynccontextmanager
async def open_session(setup: Setup, *, progress: Progress, stop: asyncio.Event) -> AsyncIterator[Session]:
    """A session with the server; raises CannotRun when it does not segment the photos."""
    served = await probe(setup.target, setup.photos)
    session = Session(setup, served, progress=progress, stop=stop)
    try:
        await session.open_floor()
        yield session
    finally:
        session.close()
