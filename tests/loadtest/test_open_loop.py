import asyncio
import dataclasses
import time

import pytest
from rich.console import Console

from loadtest import open_loop
from loadtest.closed import run_closed
from loadtest.fake import GOOD_JSON, FakeServer, Reply
from loadtest.open_loop import Traffic, run_open
from loadtest.progress import Progress
from loadtest.row import Row
from loadtest.schedule import Arrivals
from loadtest.session import Setup, open_session


async def run(
    setup: Setup, *rates: float, arrivals: Arrivals = "constant", seconds: float, stop_after: float = 60
) -> list[Row]:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(stop_after, stop.set)
    async with open_session(setup, progress=Progress(Console(quiet=True)), stop=stop) as session:
        return list((await run_open(session, Traffic(rates, arrivals), seconds=seconds)).rows)


async def test_requests_come_at_their_rate_however_slow_the_answers(fake: FakeServer, setup: Setup) -> None:
    fake.script = lambda number: Reply(body=GOOD_JSON, delay=0.3 if number else 0)

    (row,) = await run(setup, 50, seconds=1)

    assert row.answered == 50
    assert len(fake.arrivals) == 51  # with the probe
    assert 0.9 < fake.arrivals[-1] - fake.arrivals[1] < 1.2
    assert row.latency.p50 == pytest.approx(300, abs=60)
    assert row.sent_late.p50 is not None
    assert row.sent_late.p50 < 20
    assert (row.offered, row.clients, row.name) == (50, None, "50/s")


async def test_a_stall_of_a_second_shows_in_the_open_loop_and_hides_in_the_closed_one(
    fake: FakeServer, setup: Setup
) -> None:
    stalled: list[float] = []

    def stall_once(number: int) -> Reply:
        """From its twentieth request on, the server answers nothing for a second."""
        now = time.perf_counter()
        if number == 20:
            stalled.append(now + 1)
        until = stalled[-1] if stalled else now
        return Reply(body=GOOD_JSON, delay=max(0.005, until - now))

    fake.script = stall_once
    (seen,) = await run(setup, 50, seconds=3)
    fake.arrivals.clear()
    stalled.clear()
    async with open_session(setup, progress=Progress(Console(quiet=True)), stop=asyncio.Event()) as session:
        (hidden,) = (await run_closed(session, (1,), seconds=3)).rows

    # a third of the open loop's requests were due during the stall, a single one of the closed loop's
    assert seen.latency.p99 is not None
    assert seen.latency.p99 > 900
    assert seen.latency.p90 is not None
    assert seen.latency.p90 > 600
    assert hidden.latency.p99 is not None
    assert hidden.latency.p99 < 200
    assert hidden.latency.max is not None
    assert hidden.latency.max > 900


async def test_answers_within_a_second_are_told_from_those_that_came_later(
    fake: FakeServer, setup: Setup
) -> None:
    fake.script = lambda number: Reply(body=GOOD_JSON, delay=1.2 if number % 2 else 0)
    (row,) = await run(setup, 20, seconds=1)
    assert row.answered == 20
    assert row.in_time == pytest.approx(10, abs=1)


async def test_refusals_are_counted_by_kind(fake: FakeServer, setup: Setup) -> None:
    fake.script = lambda number: Reply(503 if number % 2 else 200, GOOD_JSON)
    (row,) = await run(setup, 100, seconds=0.5)
    assert row.errors == {"http 503": 25}
    assert row.answered == 25


async def test_connections_are_used_again(fake: FakeServer, setup: Setup) -> None:
    await run(setup, 40, seconds=0.5)
    assert len(fake.arrivals) == 21
    assert len(fake.connections) <= 5


async def test_too_many_under_way_are_an_error_and_not_a_crash(
    fake: FakeServer, setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_loop, "_MOST_UNDER_WAY", 5)
    fake.script = lambda number: Reply(body=GOOD_JSON, delay=0.8 if number else 0)
    (row,) = await run(setup, 40, seconds=0.5)
    assert (row.answered, row.errors) == (5, {"not sent": 15})


async def test_every_rate_has_a_row_over_grpc_too(fake: FakeServer, setup: Setup) -> None:
    over_grpc = dataclasses.replace(
        setup, target=dataclasses.replace(setup.target, transport="grpc", port=fake.grpc_port)
    )
    slow, quick = await run(over_grpc, 20, 60, arrivals="poisson", seconds=0.6)
    assert 4 <= slow.answered <= 24
    assert 20 <= quick.answered <= 60
    assert slow.errors == quick.errors == {}


async def test_a_stop_ends_a_run_at_once(fake: FakeServer, setup: Setup) -> None:
    fake.script = lambda number: Reply(body=GOOD_JSON, delay=0 if number < 5 else 60)
    started = time.perf_counter()
    rows = await run(setup, 20, 40, seconds=60, stop_after=0.6)
    assert time.perf_counter() - started < 5
    assert [row.answered for row in rows] == [4]
