"""The soak command: a closed loop for hours, and the growth of the server's memory and descriptors."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import cycle

import numpy as np
from pydantic import Field

from loadtest.commands.arguments import Clients, Found, LoadArguments
from loadtest.generators import open_client
from loadtest.generators.loops import ClosedLoop, open_clients
from loadtest.generators.photos import choose_photos, mixed_photos, with_broken
from loadtest.generators.recorder import Recorder, Window
from loadtest.measurement.harness import Harness, Stage, open_harness
from loadtest.measurement.host_stats import ProcessUse, measure_use
from loadtest.measurement.row import Load
from loadtest.measurement.server_info import list_models
from loadtest.reports.content import Finding, Outcome, Series
from loadtest.types import Answer, Ask, Client, Photo, Target

_LOOKS = 200  # at the server's processes in a run
_SHORTEST_S = 0.1  # between two looks
_MAX_GROWTH = 0.02
_NO_MODEL = "no-such-model"


class Soak(LoadArguments):
    """A closed loop for hours, and the growth of the server's memory and descriptors."""

    duration: float = Field(default=3600.0, ge=0.1, le=7 * 86_400, description="seconds of the run")
    concurrency: Clients = Field(default=4, description="clients")
    mixed: bool = Field(
        default=False,
        description="photos of many sizes for all of the server's models, broken ones, and an absent model",
    )

    async def run(self, stage: Stage) -> Found:
        """Measures; a mixed soak has its own photos, and no baseline, which could not fail as it does."""
        if self.mixed:
            setup = self.setup(mixed_photos(), baseline="none")
        else:
            setup = self.setup(choose_photos(self.image))
        async with open_harness(setup, stage) as harness:
            outcome = await run_soak(harness, self.concurrency, seconds=self.duration, mixed=self.mixed)
            return Found(outcome, (harness,))


async def run_soak(harness: Harness, clients: int, *, seconds: float, mixed: bool = False) -> Outcome:
    """One row for the whole time, and the growth of the server's processes; `mixed`: with faults among it."""
    looks: list[tuple[float, ProcessUse]] = []
    setup = harness.setup
    opening = open_mixed_clients(setup.target, clients) if mixed else open_clients(setup.target, clients)
    async with opening as opened:
        loop = ClosedLoop(opened, with_broken(setup.photos) if mixed else setup.photos)

        async def drive(window: Window, recorder: Recorder) -> None:
            looks.clear()  # the looks so far belong to the warm-up
            looking = asyncio.create_task(_look(harness.server_pids, window, looks))
            try:
                await loop(window, recorder)
            finally:
                looking.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await looking

        row = await harness.measure(Load(f"{clients} clients", clients=clients), drive, seconds=seconds)
    if not looks:
        harness.notes.append("the server's processes are hidden from here: no memory, no descriptors")
        return Outcome((row,))
    times = tuple(at for at, _ in looks)
    memory = tuple(use.memory_mb for _, use in looks)
    descriptors = tuple(float(use.descriptors) for _, use in looks)
    return Outcome(
        (row,),
        findings=(_judge("memory growth", memory), _judge("descriptor growth", descriptors)),
        series=(Series("memory", "MB", times, memory), Series("descriptors", "", times, descriptors)),
    )


def measure_growth(values: Sequence[float]) -> float:
    """The growth from the second fifth of a run to its last: 0.02 for 2 %.

    The first fifth is warm-up; medians leave out a single request in flight.

    >>> round(measure_growth([50, 90, 100, 100, 100, 101, 101, 103, 103, 103]), 4)
    0.03
    """
    fifth = max(1, len(values) // 5)
    first, last = np.median(values[fifth : 2 * fifth] or values), np.median(values[-fifth:])
    return float(last / first - 1)


class MixedClient:
    """Asks these models in turn, and in every tenth request a model that does not exist."""

    def __init__(self, target: Target, models: Sequence[str]) -> None:
        self._clients = [open_client(_choose_model(target, model)) for model in (_NO_MODEL, *models)]
        self._known = cycle(self._clients[1:])
        self._sent = 0

    async def send(self, photo: Photo) -> Answer:
        self._sent += 1
        client = self._clients[0] if self._sent % 10 == 0 else next(self._known)
        return await client.send(photo)

    async def close(self) -> None:
        await asyncio.gather(*(client.close() for client in self._clients))


@asynccontextmanager
async def open_mixed_clients(target: Target, count: int) -> AsyncIterator[Sequence[Client]]:
    """`count` clients for the target's model, or for all models of the server; raises CannotRun."""
    models = (target.ask.model,) if target.ask.model else await list_models(target)
    clients = [MixedClient(target, models) for _ in range(count)]
    try:
        yield clients
    finally:
        await asyncio.gather(*(client.close() for client in clients))


def _choose_model(target: Target, model: str) -> Target:
    return replace(target, ask=Ask(model, target.ask.options))


def _judge(name: str, values: Sequence[float]) -> Finding:
    growth = measure_growth(values)
    goal = f"at most {100 * _MAX_GROWTH:g} % after the first fifth"
    return Finding(name, 100 * growth, "%", target=goal, met=growth <= _MAX_GROWTH)


async def _look(pids: tuple[int, ...], window: Window, looks: list[tuple[float, ProcessUse]]) -> None:
    while True:
        use, seen = measure_use(pids), window.spent
        if use is not None:
            looks.append((time.perf_counter() - window.opened, use))
        await asyncio.sleep(_SHORTEST_S)
        while window.spent < seen + 1 / _LOOKS:
            await asyncio.sleep(_SHORTEST_S)
