import asyncio
import dataclasses
import time

from loadtest.commands.loads import Closed
from loadtest.measurement.fake_server import GOOD_JSON, FakeServer, Reply
from loadtest.measurement.harness import Setup, open_harness
from loadtest.measurement.row import Row
from loadtest.types import Photo
from tests.loadtest.rows import make_stage


async def run(
    setup: Setup, concurrency: tuple[int, ...], *, seconds: float, stop_after: float = 60
) -> list[Row]:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(stop_after, stop.set)
    async with open_harness(setup, make_stage(stop)) as harness:
        outcome = await Closed(concurrency=concurrency, duration=seconds).measure_rows(harness)
    return list(outcome.rows)


async def test_throughput_grows_with_the_clients_of_a_server_that_only_waits(
    fake: FakeServer, setup: Setup
) -> None:
    fake.script = lambda _: Reply(body=GOOD_JSON, delay=0.05)

    one, four = await run(setup, (1, 4), seconds=1)

    assert 0 < one.throughput <= 20
    assert one.throughput < four.throughput <= 80
    assert one.latency.p50 is not None
    assert one.latency.p50 >= 50
    assert (one.name, four.name) == ("1 client", "4 clients")
    assert one.stages["infer"].mean == 9.0


async def test_every_client_has_one_request_in_flight_at_most(fake: FakeServer, setup: Setup) -> None:
    fake.script = lambda _: Reply(body=GOOD_JSON, delay=0.1)
    (row,) = await run(setup, (3,), seconds=0.35)
    assert row.answered <= 3 * 4


async def test_the_warm_up_is_sent_but_not_counted(fake: FakeServer, setup: Setup) -> None:
    fake.script = lambda _: Reply(body=GOOD_JSON, delay=0.02)
    (row,) = await run(dataclasses.replace(setup, warmup=0.3), (1,), seconds=0.2)
    assert len(fake.arrivals) > row.answered + 5


async def test_errors_are_counted_and_do_not_count_as_throughput(fake: FakeServer, setup: Setup) -> None:
    fake.script = lambda number: Reply(503 if number % 2 else 200, GOOD_JSON, delay=0.01)
    (row,) = await run(setup, (2,), seconds=0.5)
    assert abs(row.errors["http 503"] - row.answered) <= 2
    assert row.throughput <= row.answered / 0.5


async def test_a_server_that_dies_is_counted_and_not_hammered(fake: FakeServer, setup: Setup) -> None:
    fake.script = lambda number: Reply(200 if number < 3 else 0, GOOD_JSON)
    (row,) = await run(setup, (1,), seconds=0.6)
    assert row.answered == 2  # the first went to the probe
    assert 1 <= row.errors["connection lost"] <= 7


async def test_the_number_of_requests_is_bounded(setup: Setup) -> None:
    (row,) = await run(dataclasses.replace(setup, requests=7), (4,), seconds=30)
    assert row.answered == 7
    assert row.seconds < 30


async def test_a_stop_gives_what_was_measured_even_when_the_server_hangs(
    fake: FakeServer, setup: Setup
) -> None:
    fake.script = lambda number: Reply(body=GOOD_JSON, delay=0 if number < 5 else 600)
    started = time.perf_counter()

    rows = await run(setup, (1, 4, 16), seconds=600, stop_after=0.3)

    assert time.perf_counter() - started < 300
    assert [row.answered for row in rows] == [4]


async def test_clients_begin_with_different_photos_of_the_mix(fake: FakeServer, setup: Setup) -> None:
    mix = tuple(Photo(name, "image/jpeg", name.encode()) for name in "abc")
    fake.script = lambda _: Reply(body=GOOD_JSON, delay=0.05)
    (row,) = await run(dataclasses.replace(setup, photos=mix, requests=6), (3,), seconds=5)

    assert row.answered == 6
    assert sorted(fake.bodies[-6:]) == [b"a", b"a", b"b", b"b", b"c", b"c"]
    assert sorted(fake.bodies[-6:-3]) == [b"a", b"b", b"c"]
