import asyncio
import dataclasses

import pytest

from loadtest.commands.loads import Goal, Open, Ramp, Streams, find_highest, sum_up_cameras
from loadtest.generators.rpc import StreamFigures
from loadtest.measurement.fake_server import GOOD_JSON, FakeServer, Reply
from loadtest.measurement.harness import Setup, open_harness
from tests.loadtest.rows import ROW, make_stage, with_latency


@pytest.mark.parametrize(("truth", "limit"), [(80.0, 110.0), (3.0, 110.0), (109.0, 110.0)])
async def test_bisection_ends_just_below_the_highest_rate_that_keeps(truth: float, limit: float) -> None:
    tried: list[float] = []

    async def keeps(rate: float) -> bool:
        tried.append(rate)
        return rate <= truth

    found = await find_highest(keeps, limit, steps=8, is_stopped=lambda: False)

    assert len(tried) == 8
    assert truth - limit / 2**8 - 0.2 <= found <= truth


async def test_a_server_that_never_keeps_up_gives_0_and_a_stop_the_best_so_far() -> None:
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
    """Two slots of 20 ms make 100 requests a second; at higher rates the wait grows without end."""
    free = [0.0, 0.0]

    def queue(_: int) -> Reply:
        now = asyncio.get_running_loop().time()
        slot = free.index(min(free))
        free[slot] = max(now, free[slot]) + 0.02
        return Reply(body=GOOD_JSON, delay=free[slot] - now)

    fake.script = queue
    ramp = Ramp(p99=100, errors=0, arrivals="constant", steps=5, duration=1.5)
    async with open_harness(setup, make_stage()) as harness:
        outcome = await ramp.search(harness)

    (finding,) = outcome.findings
    assert finding.value is not None
    assert finding.value <= 110
    assert len(outcome.rows) == 6


async def test_every_number_of_cameras_has_a_row_with_its_fairness(fake: FakeServer, setup: Setup) -> None:
    fake.script = lambda _: Reply(delay=0.01)
    target = dataclasses.replace(setup.target, transport="grpc", port=fake.grpc_port)
    over_grpc = dataclasses.replace(setup, target=target)
    async with open_harness(over_grpc, make_stage()) as harness:
        outcome = await Streams(streams=(1, 3), fps=10, policy="all", duration=1).measure_rows(harness)

    one, three = outcome.rows
    assert (one.name, three.name) == ("1 x 10/s", "3 x 10/s")
    assert (one.offered, three.offered) == (10, 30)
    assert one.cameras is not None
    assert three.cameras is not None
    assert (one.cameras.count, three.cameras.count) == (1, 3)
    assert 0 < three.cameras.fairness <= 1
    assert three.answered > one.answered
    assert one.errors == three.errors == {}


@pytest.mark.parametrize(("answered", "fairness"), [((10, 10), 1.0), ((10, 0), 0.0), ((0, 0), 0.0)])
def test_fairness_is_the_slowest_over_the_fastest(answered: tuple[int, int], fairness: float) -> None:
    cameras = sum_up_cameras([StreamFigures(count, 2, 1) for count in answered])
    assert (cameras.fairness, cameras.dropped, cameras.skipped) == (fairness, 4, 2)


async def test_every_rate_has_a_row_over_grpc_too(fake: FakeServer, setup: Setup) -> None:
    target = dataclasses.replace(setup.target, transport="grpc", port=fake.grpc_port)
    async with open_harness(dataclasses.replace(setup, target=target), make_stage()) as harness:
        outcome = await Open(rate=(20, 60), arrivals="poisson", duration=0.6).measure_rows(harness)
    slow, quick = outcome.rows
    assert 0 < slow.answered <= 24
    assert slow.answered < quick.answered <= 60
    assert slow.errors == quick.errors == {}
