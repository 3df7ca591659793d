"""The waiting of frames: for a slot, and for their turn."""

import asyncio

from service.serving.streaming import Frame
from service.serving.streaming.frame_slot import FrameSlot, Pace
from tests.service.serving.streaming.stage import FakeClock, settle


async def waits(pace: Pace, clock: FakeClock, milliseconds: int) -> bool:
    """Whether the next turn may begin after so long, and not a millisecond before; begins it."""
    waiting = asyncio.create_task(pace.wait(asyncio.Event()))
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
        await pace.wait(asyncio.Event())
        pace.begin()


async def test_turns_begin_one_period_apart() -> None:
    clock = FakeClock()
    pace = Pace(10, clock)
    await pace.wait(asyncio.Event())
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
    await pace.wait(asyncio.Event())
    pace.begin()
    assert await waits(pace, clock, 100)


async def test_a_stop_ends_the_wait_for_a_turn() -> None:
    pace, stop = Pace(1e-9, FakeClock()), asyncio.Event()
    pace.begin()
    waiting = asyncio.create_task(pace.wait(stop))
    await settle()
    assert not waiting.done()
    stop.set()
    await waiting


async def test_the_slowest_pace_has_a_next_turn() -> None:
    clock = FakeClock()
    pace = Pace(5e-324, clock)
    pace.begin()
    assert await waits(pace, clock, 86_400_000)


def frame(number: int) -> Frame:
    return Frame(number, None, b"")


async def test_with_the_policy_all_a_late_signal_of_an_earlier_frame_drops_none() -> None:
    slot = FrameSlot("all")
    await slot.put(frame(1))
    assert slot.pick() == frame(1)  # on the thread of a slot, whose `picked` is still on its way
    await slot.put(frame(2))
    waiting = asyncio.create_task(slot.put(frame(3)))
    await settle()
    slot.picked()
    await settle()
    assert not waiting.done()
    assert slot.take() == frame(2)
    await waiting
    assert (slot.take(), slot.dropped) == (frame(3), 0)
