import asyncio
import dataclasses

import pytest
from rich.console import Console

from loadtest.fake import GOOD_JSON, FakeServer, Reply
from loadtest.progress import Progress
from loadtest.ramp import Goal, find_highest, run_ramp
from loadtest.session import Setup, open_session
from tests.loadtest.rows import ROW, with_latency


@pytest.mark.parametrize(("truth", "limit"), [(80.0, 110.0), (3.0, 110.0), (109.0, 110.0)])
async def test_bisection_ends_just_below_the_highest_rate_that_keeps(truth: float, limit: float) -> None:
    tried: list[float] = []

    async def keeps(rate: float) -> bool:
        tried.append(rate)
        return rate <= truth

    found = await find_highest(keeps, limit, steps=8, is_stopped=lambda: False)

    assert len(tried) == 8
    assert truth - limit / 2**8 - 0.2 <= found <= truth


async def test_a_server_that_never_keeps_up_gives_nought_and_a_stop_what_is_known() -> None:
    async def never(_: float) -> bool:
        return False

    async def always(_: float) -> bool:
        return True

    assert await find_highest(never, 100, steps=5, is_stopped=lambda: False) == 0
    assert await find_highest(always, 100, steps=5, is_stopped=lambda: True) == 0


def test_a_goal_is_about_latency_and_errors() -> None:
    goal = Goal(p99_ms=50, errors=0.01)
    assert goal.is_kept(ROW)
    assert not goal.is_kept(with_latency(ROW, p99=51))
    assert goal.is_kept(dataclasses.replace(ROW, errors={"http 503": 10}))
    assert not goal.is_kept(dataclasses.replace(ROW, errors={"http 503": 11}))
    assert not goal.is_kept(with_latency(dataclasses.replace(ROW, answered=0)))


async def test_the_ramp_finds_a_server_of_known_capacity(fake: FakeServer, setup: Setup) -> None:
    """Two slots of 20 ms make 100 requests a second; what comes faster waits ever longer."""
    free = [0.0, 0.0]

    def queue(_: int) -> Reply:
        now = asyncio.get_running_loop().time()
        slot = free.index(min(free))
        free[slot] = max(now, free[slot]) + 0.02
        return Reply(body=GOOD_JSON, delay=free[slot] - now)

    fake.script = queue
    async with open_session(setup, progress=Progress(Console(quiet=True)), stop=asyncio.Event()) as session:
        outcome = await run_ramp(session, Goal(100, 0.0), arrivals="constant", steps=5, seconds=1.5)

    (finding,) = outcome.findings
    assert finding.value is not None
    assert 70 <= finding.value <= 110
    assert len(outcome.rows) == 6
