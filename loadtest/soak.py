"""A closed loop for hours, with an eye on what grows: memory, descriptors, latency."""

import asyncio
import contextlib
import time
from collections.abc import Sequence

import numpy as np

from loadtest.closed import ClosedLoop
from loadtest.mixture import stray_clients, with_broken
from loadtest.outcome import Finding, Outcome, Series
from loadtest.processes import ProcessUse, measure_use
from loadtest.recorder import Recorder
from loadtest.row import Load
from loadtest.session import Session
from loadtest.window import Window

_LOOKS = 200  # at the server's processes in a run
_GLANCE = 0.1  # seconds between two at least
_MOST_GROWTH = 0.02


async def run_soak(session: Session, clients: int, *, seconds: float, mixed: bool = False) -> Outcome:
    """One row for the whole time, and how the processes grew in it; `mixed`: with faults among it."""
    looks: list[tuple[float, ProcessUse]] = []
    setup = session.setup
    opening = stray_clients(setup.target, clients) if mixed else session.clients(clients)
    async with opening as opened:
        loop = ClosedLoop(opened, with_broken(setup.photos) if mixed else setup.photos)

        async def drive(window: Window, recorder: Recorder) -> None:
            looks.clear()  # those of the warm-up
            looking = asyncio.create_task(_look(session.server_pids, window, looks))
            try:
                await loop(window, recorder)
            finally:
                looking.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await looking

        row = await session.measure(Load(f"{clients} clients", clients=clients), drive, seconds=seconds)
    if not looks:
        session.notes.append("the server's processes cannot be seen from here: no memory, no descriptors")
        return Outcome((row,))
    times = tuple(at for at, _ in looks)
    memory = tuple(use.resident_mb for _, use in looks)
    descriptors = tuple(float(use.descriptors) for _, use in looks)
    return Outcome(
        (row,),
        findings=(_judge("memory growth", memory), _judge("descriptor growth", descriptors)),
        series=(Series("memory", "MB", times, memory), Series("descriptors", "", times, descriptors)),
    )


def measure_growth(values: Sequence[float]) -> float:
    """How much more there is in the last fifth of a run than in its second: 0.02 for 2 %.

    The first fifth is warm-up; medians, so that one request under way does not count.

    >>> round(measure_growth([50, 90, 100, 100, 100, 101, 101, 103, 103, 103]), 4)
    0.03
    """
    fifth = max(1, len(values) // 5)
    first, last = np.median(values[fifth : 2 * fifth] or values), np.median(values[-fifth:])
    return float(last / first - 1)


def _judge(name: str, values: Sequence[float]) -> Finding:
    growth = measure_growth(values)
    return Finding(
        name,
        100 * growth,
        "%",
        target=f"at most {100 * _MOST_GROWTH:g} % after the first fifth",
        met=growth <= _MOST_GROWTH,
    )


async def _look(pids: tuple[int, ...], window: Window, looks: list[tuple[float, ProcessUse]]) -> None:
    while True:
        use, seen = measure_use(pids), window.spent
        if use is not None:
            looks.append((time.perf_counter() - window.opened, use))
        await asyncio.sleep(_GLANCE)
        while window.spent < seen + 1 / _LOOKS:
            await asyncio.sleep(_GLANCE)
