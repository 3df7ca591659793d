import asyncio
import dataclasses
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.commands.loads import Closed, Open, measure_closed
from loadtest.generators import loops
from loadtest.generators.loops import Arrivals, Pacer, schedule_arrivals
from loadtest.measurement.fake_server import GOOD_JSON, FakeServer, Reply
from loadtest.measurement.harness import Setup, open_harness
from loadtest.measurement.row import Row
from loadtest.types import Photo
from tests.loadtest.rows import make_stage
from tests.running import PATIENCE_S


def hang_from(number: int, stop: asyncio.Event) -> Callable[[int], Reply]:
    """A script of a server that hangs from this request on; the first one that hangs sets `stop`."""
    loop = asyncio.get_running_loop()

    def answer(place: int) -> Reply:
        if place >= number:
            loop.call_soon_threadsafe(stop.set)
        return Reply(body=GOOD_JSON, delay=0 if place < number else 600)

    return answer


async def run_closed(
    setup: Setup, concurrency: tuple[int, ...], *, seconds: float, stop: asyncio.Event | None = None
) -> list[Row]:
    async with open_harness(setup, make_stage(stop)) as harness:
        outcome = await Closed(concurrency=concurrency, duration=seconds).measure_rows(harness)
    return list(outcome.rows)


async def test_throughput_grows_with_the_clients_of_a_server_that_only_waits(
    fake: FakeServer, setup: Setup
) -> None:
    fake.script = lambda _: Reply(body=GOOD_JSON, delay=0.05)

    one, four = await run_closed(setup, (1, 4), seconds=1)

    assert 0 < one.throughput <= 20
    assert one.throughput < four.throughput <= 80
    assert one.latency.p50 is not None
    assert one.latency.p50 >= 50
    assert (one.name, four.name) == ("1 client", "4 clients")
    assert one.stages["infer"].mean == 9.0


async def test_every_client_has_one_request_in_flight_at_most(fake: FakeServer, setup: Setup) -> None:
    fake.script = lambda _: Reply(body=GOOD_JSON, delay=0.1)
    (row,) = await run_closed(setup, (3,), seconds=0.35)
    assert row.answered <= 3 * 4


async def test_the_warm_up_is_sent_but_not_counted(fake: FakeServer, setup: Setup) -> None:
    fake.script = lambda _: Reply(body=GOOD_JSON, delay=0.02)
    (row,) = await run_closed(dataclasses.replace(setup, warmup=0.3), (1,), seconds=0.2)
    assert len(fake.arrivals) > row.answered + 5


async def test_errors_are_counted_and_do_not_count_as_throughput(fake: FakeServer, setup: Setup) -> None:
    fake.script = lambda number: Reply(503 if number % 2 else 200, GOOD_JSON, delay=0.01)
    (row,) = await run_closed(setup, (2,), seconds=0.5)
    assert abs(row.errors["http 503"] - row.answered) <= 2
    assert row.throughput <= row.answered / 0.5


async def test_a_server_that_dies_is_counted_and_not_hammered(fake: FakeServer, setup: Setup) -> None:
    fake.script = lambda number: Reply(200 if number < 3 else 0, GOOD_JSON)
    (row,) = await run_closed(setup, (1,), seconds=0.6)
    assert row.answered == 2  # the first went to the probe
    assert 1 <= row.errors["connection lost"] <= 7


async def test_the_number_of_requests_is_bounded(setup: Setup) -> None:
    (row,) = await run_closed(dataclasses.replace(setup, requests=7), (4,), seconds=30)
    assert row.answered == 7
    assert row.seconds < 30


async def test_a_stop_gives_what_was_measured_even_when_the_server_hangs(
    fake: FakeServer, setup: Setup
) -> None:
    stop = asyncio.Event()
    fake.script = hang_from(5, stop)
    rows = await run_closed(setup, (1, 4, 16), seconds=600, stop=stop)
    assert [row.answered for row in rows] == [4]


async def test_clients_begin_with_different_photos_of_the_mix(fake: FakeServer, setup: Setup) -> None:
    mix = tuple(Photo(name, "image/jpeg", name.encode()) for name in "abc")
    fake.script = lambda _: Reply(body=GOOD_JSON, delay=0.05)
    (row,) = await run_closed(dataclasses.replace(setup, photos=mix, requests=6), (3,), seconds=5)

    assert row.answered == 6
    assert sorted(fake.bodies[-6:]) == [b"a", b"a", b"b", b"b", b"c", b"c"]
    assert sorted(fake.bodies[-6:-3]) == [b"a", b"b", b"c"]


async def run_open(
    setup: Setup,
    *rates: float,
    arrivals: Arrivals = "constant",
    seconds: float,
    stop: asyncio.Event | None = None,
) -> list[Row]:
    async with open_harness(setup, make_stage(stop)) as harness:
        outcome = await Open(rate=rates, arrivals=arrivals, duration=seconds).measure_rows(harness)
    return list(outcome.rows)


async def test_requests_come_at_their_rate_however_slow_the_answers(fake: FakeServer, setup: Setup) -> None:
    fake.script = lambda number: Reply(body=GOOD_JSON, delay=0.3 if number else 0)

    (row,) = await run_open(setup, 50, seconds=1)

    assert 10 < row.answered <= 50
    assert len(fake.arrivals) == row.answered + 1  # with the probe
    assert fake.arrivals[-1] - fake.arrivals[1] > 0.5
    assert row.latency.p50 is not None
    assert row.latency.p50 >= 299
    assert row.sent_late.p50 is not None
    assert (row.offered, row.clients, row.name) == (50, None, "50/s")


async def test_a_stall_of_a_second_shows_in_the_open_loop_and_hides_in_the_closed_one(
    fake: FakeServer, setup: Setup
) -> None:
    stalled: list[float] = []

    def stall_once(number: int) -> Reply:
        """The server stalls for a second when its twentieth request comes."""
        now = time.perf_counter()
        if number == 20:
            stalled.append(now + 1)
        until = stalled[-1] if stalled else now
        return Reply(body=GOOD_JSON, delay=max(0.005, until - now))

    fake.script = stall_once
    (seen,) = await run_open(setup, 50, seconds=3)
    fake.arrivals.clear()
    stalled.clear()
    async with open_harness(setup, make_stage()) as harness:
        hidden = await measure_closed(harness, 1, seconds=3)

    # a third of the open loop's requests were due during the stall, a single one of the closed loop's
    assert seen.latency.p99 is not None
    assert seen.latency.p99 > 900
    assert seen.latency.p90 is not None
    assert seen.latency.p90 > 600
    assert hidden.latency.p90 is not None
    assert hidden.latency.p90 < seen.latency.p90
    assert hidden.latency.max is not None
    assert hidden.latency.max > 900


async def test_answers_within_a_second_are_counted_apart(fake: FakeServer, setup: Setup) -> None:
    fake.script = lambda number: Reply(body=GOOD_JSON, delay=1.2 if number % 2 else 0)
    (row,) = await run_open(setup, 20, seconds=1)
    assert 0 < row.in_time <= 10  # half of 20 a second


async def test_refusals_are_counted_by_kind(fake: FakeServer, setup: Setup) -> None:
    fake.script = lambda number: Reply(503 if number % 2 else 200, GOOD_JSON)
    (row,) = await run_open(setup, 100, seconds=0.5)
    assert list(row.errors) == ["http 503"]
    assert abs(row.errors["http 503"] - row.answered) <= 1


async def test_connections_are_used_again(fake: FakeServer, setup: Setup) -> None:
    await run_open(setup, 10, seconds=2)
    assert len(fake.connections) < len(fake.arrivals) <= 21


async def test_too_many_in_flight_are_an_error_and_not_a_crash(
    fake: FakeServer, setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "_MAX_IN_FLIGHT", 5)
    fake.script = lambda number: Reply(body=GOOD_JSON, delay=0.8 if number else 0)
    (row,) = await run_open(setup, 40, seconds=0.5)
    assert (row.answered, list(row.errors)) == (5, ["not sent"])


async def test_a_stop_ends_a_run_at_once(fake: FakeServer, setup: Setup) -> None:
    stop = asyncio.Event()
    fake.script = hang_from(5, stop)
    rows = await run_open(setup, 20, 40, seconds=600, stop=stop)
    assert len(rows) == 1
    assert rows[0].answered <= 4


async def test_times_are_handed_out_in_order_when_they_are_due() -> None:
    handed: list[tuple[float, float]] = []
    start = time.perf_counter()
    due = [start + step * 0.02 for step in range(20)]
    pacer = Pacer(due, lambda time_due: handed.append((time_due, time.perf_counter())))
    pacer.start()
    await asyncio.wait_for(pacer.done.wait(), PATIENCE_S)
    pacer.stop()

    assert [time_due for time_due, _ in handed] == due
    assert min(now - time_due for time_due, now in handed) >= -0.001


async def test_a_pacer_that_is_behind_hands_out_everything_at_once() -> None:
    handed: list[float] = []
    start = time.perf_counter() - 10
    pacer = Pacer([start + step for step in range(5)], handed.append)
    pacer.start()
    await asyncio.wait_for(pacer.done.wait(), PATIENCE_S)
    pacer.stop()
    assert len(handed) == 5


async def test_a_stopped_pacer_hands_out_no_more() -> None:
    handed: list[float] = []
    start = time.perf_counter()
    pacer = Pacer([start, start + 60], handed.append)
    pacer.start()
    await asyncio.sleep(0.05)
    pacer.stop()
    await asyncio.wait_for(pacer.done.wait(), PATIENCE_S)
    assert handed == [start]


RATES = st.floats(0.1, 500)
SECONDS = st.floats(0, 20)


def test_constant_arrivals_are_evenly_spaced() -> None:
    assert schedule_arrivals("constant", 4, seconds=1, seed=0).tolist() == [0, 0.25, 0.5, 0.75]


def test_poisson_gaps_are_exponential() -> None:
    offsets = schedule_arrivals("poisson", 100, seconds=1000, seed=3)
    gaps = np.diff(offsets)
    assert len(offsets) == pytest.approx(100_000, rel=0.02)
    assert gaps.mean() == pytest.approx(0.01, rel=0.02)
    assert gaps.std() == pytest.approx(0.01, rel=0.03)  # an exponential's deviation is its mean
    assert (gaps > 0.02).mean() == pytest.approx(np.exp(-2), rel=0.05)
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 0.02


@given(st.sampled_from(["poisson", "constant"]), RATES, SECONDS, st.integers(0, 99))
def test_offsets_are_in_order_and_within_the_run(
    arrivals: Arrivals, rate: float, seconds: float, seed: int
) -> None:
    offsets = schedule_arrivals(arrivals, rate, seconds=seconds, seed=seed)
    assert (np.diff(offsets) >= 0).all()
    assert ((offsets >= 0) & (offsets <= seconds)).all()
