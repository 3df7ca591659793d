import asyncio

import cv2
import numpy as np
import pytest

from service.errors import ImageTooLarge, InvalidImage
from service.inference.golden import draw_picture
from service.inference.images import Limits
from service.serving.streaming import Frame, RawFormat, RawImage, raw_to_pixels
from service.serving.streaming.frame import FrameSlot, Pace
from service.types import Size
from tests.service.serving.streaming.stage import FakeClock, settle

SIZE = Size(64, 96)
PICTURE = cv2.GaussianBlur(draw_picture(SIZE, seed=3), (9, 9), 0).astype(np.uint8)


def test_rgb_is_taken_as_it_is() -> None:
    assert np.array_equal(raw_to_pixels(RawImage("rgb", SIZE, PICTURE.tobytes()), Limits()), PICTURE)


def test_bgr_is_turned_round() -> None:
    data = np.ascontiguousarray(PICTURE[..., ::-1]).tobytes()
    pixels = raw_to_pixels(RawImage("bgr", SIZE, data), Limits())
    assert np.array_equal(pixels, PICTURE)
    assert pixels.flags.c_contiguous


def test_i420_has_half_the_colour_but_shows_the_same() -> None:
    planes = cv2.cvtColor(PICTURE, cv2.COLOR_RGB2YUV_I420)
    pixels = raw_to_pixels(RawImage("i420", SIZE, planes.tobytes()), Limits())
    assert pixels.shape == PICTURE.shape
    assert np.abs(pixels.astype(int) - PICTURE).mean() < 6


def test_i420_of_one_colour_is_that_colour() -> None:
    data = bytes([82] * 16 + [90] * 4 + [240] * 4)  # red, ITU-R BT.601
    pixels = raw_to_pixels(RawImage("i420", Size(4, 4), data), Limits())
    assert np.abs(pixels.astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("layout", ["rgb", "bgr", "i420"])
@pytest.mark.parametrize("data", [b"", b"\0", bytes(64 * 96 * 3 + 1), bytes(64 * 96 * 2)])
def test_data_that_do_not_fill_the_size_are_refused(layout: RawFormat, data: bytes) -> None:
    with pytest.raises(InvalidImage, match=f"96 x 64 {layout} is .* bytes without padding, got {len(data)}"):
        raw_to_pixels(RawImage(layout, SIZE, data), Limits())


@pytest.mark.parametrize("size", [Size(3, 4), Size(4, 3)])
def test_i420_of_an_odd_size_is_refused(size: Size) -> None:
    with pytest.raises(InvalidImage, match="even width and height"):
        raw_to_pixels(RawImage("i420", size, bytes(18)), Limits())


def test_more_pixels_than_allowed_are_refused() -> None:
    with pytest.raises(ImageTooLarge, match="96 x 64"):
        raw_to_pixels(RawImage("rgb", SIZE, PICTURE.tobytes()), Limits(max_pixels=64 * 96 - 1))


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
