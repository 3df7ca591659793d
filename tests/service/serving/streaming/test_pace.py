import asyncio

from service.serving.streaming.pace import Pace
from tests.service.serving.streaming.stage import FakeClock


async def waits(pace: Pace, clock: FakeClock, milliseconds: int) -> bool:
    """Whether the next turn may begin after so long, and not a millisecond before; begins it."""
    waiting = asyncio.create_task(pace.wait())
    await clock.advance((milliseconds - 1) / 1000)
    early = waiting.done()
    await clock.advance(0.0011)  # and a rounding error
    done = waiting.done()
    waiting.cancel()
    pace.begin()
    return done and not early


async def test_without_a_limit_nothing_waits() -> None:
    pace = Pace(None, FakeClock())
    for _ in range(3):
        await pace.wait()
        pace.begin()


async def test_turns_begin_one_period_apart() -> None:
    clock = FakeClock()
    pace = Pace(10, clock)
    await pace.wait()
    pace.begin()
    for _ in range(3):
        assert await waits(pace, clock, 100)


async def test_a_turn_that_is_a_little_late_does_not_delay_the_next() -> None:
    clock = FakeClock()
    pace = Pace(10, clock)
    pace.begin()
    await clock.advance(0.130)
    pace.begin()
    assert await waits(pace, clock, 70)


async def test_after_a_long_silence_turns_do_not_come_in_a_burst() -> None:
    clock = FakeClock()
    pace = Pace(10, clock)
    pace.begin()
    await clock.advance(5)
    await pace.wait()
    pace.begin()
    assert await waits(pace, clock, 100)
