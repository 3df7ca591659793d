import asyncio
import dataclasses
import time

import psutil
import pytest
from rich.console import Console

from loadtest.fake import FakeServer
from loadtest.outcome import Outcome
from loadtest.progress import Progress
from loadtest.session import Setup, open_session
from loadtest.soak import measure_growth, run_soak
from loadtest.targets import Ask

LEAK = 0.2  # of this process's memory, per second: in a run of all tests it is large already


async def soak(setup: Setup) -> Outcome:
    leak: list[bytes] = []

    async def grow() -> None:
        memory, last = psutil.Process().memory_info().rss, time.perf_counter()
        while True:
            await asyncio.sleep(0.05)
            now = time.perf_counter()
            leak.append(b"x" * int(LEAK * memory * (now - last)))
            last = now

    async with open_session(setup, progress=Progress(Console(quiet=True)), stop=asyncio.Event()) as session:
        growing = asyncio.create_task(grow())
        outcome = await run_soak(session, 2, seconds=2)
        growing.cancel()
    return outcome


async def test_a_server_that_leaks_is_found_out(fake: FakeServer, setup: Setup) -> None:
    """The fake serves from this process, so that what grows here grows there."""
    outcome = await soak(setup)
    memory, descriptors = outcome.findings
    assert (memory.name, memory.met) == ("memory growth", False)
    assert memory.value is not None
    assert memory.value > 5
    assert descriptors.name == "descriptor growth"
    assert outcome.series[0].values[-1] > 1.1 * outcome.series[0].values[0]
    assert outcome.series[0].seconds[-1] > 1.5
    (row,) = outcome.rows
    assert row.answered > 20


async def test_without_sight_of_the_process_there_is_still_a_row(setup: Setup) -> None:
    unseen = dataclasses.replace(setup)
    async with open_session(unseen, progress=Progress(Console(quiet=True)), stop=asyncio.Event()) as session:
        session.server_pids = ()
        outcome = await run_soak(session, 1, seconds=0.3)
    assert len(outcome.rows) == 1
    assert outcome.findings == ()
    assert "cannot be seen" in session.notes[0]


@pytest.mark.parametrize(
    ("values", "growth"),
    [
        ([100.0] * 10, 0.0),
        ([50, 80, 100, 100, 100, 100, 100, 100, 100, 100], 0.0),  # warm-up
        ([100, 100, 100, 100, 110, 120, 130, 140, 150, 150], 0.5),
        ([100, 100, 100, 100, 100, 500, 100, 100, 100, 100], 0.0),  # one peak
        ([100.0], 0.0),
    ],
)
def test_growth_is_the_last_fifth_over_the_second(values: list[float], growth: float) -> None:
    assert measure_growth(values) == pytest.approx(growth, abs=0.01)


async def test_a_mixture_has_faults_in_it_and_its_good_answers_count(setup: Setup) -> None:
    named = dataclasses.replace(setup, target=dataclasses.replace(setup.target, ask=Ask("fake")))
    async with open_session(named, progress=Progress(Console(quiet=True)), stop=asyncio.Event()) as session:
        outcome = await run_soak(session, 2, seconds=0.5, mixed=True)
    (row,) = outcome.rows
    assert row.answered > 5
