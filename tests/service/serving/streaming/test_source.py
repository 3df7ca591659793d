import asyncio

import pytest

from service.serving.streaming import Frame, read_frames


class Camera:
    """Gives the frames it is shown, then None."""

    def __init__(self, count: int) -> None:
        self.shown = asyncio.Queue[Frame | None]()
        for number in range(count):
            self.shown.put_nowait(Frame(number, None, b""))

    async def read(self) -> Frame | None:
        return await self.shown.get()


async def test_frames_come_as_they_are_read_until_there_is_none() -> None:
    camera = Camera(3)
    camera.shown.put_nowait(None)
    assert [frame.id async for frame in read_frames(camera.read, asyncio.Event())] == [0, 1, 2]


async def test_a_stop_ends_a_stream_that_waits_for_its_next_frame() -> None:
    stop, seen = asyncio.Event(), []
    before = len(asyncio.all_tasks())
    async for frame in read_frames(Camera(2).read, stop):
        seen.append(frame.id)
        if frame.id == 1:
            asyncio.get_running_loop().call_soon(stop.set)
    await asyncio.sleep(0)
    assert seen == [0, 1]
    assert len(asyncio.all_tasks()) == before


async def test_after_a_stop_nothing_more_is_read() -> None:
    camera, stop = Camera(5), asyncio.Event()
    async for _ in read_frames(camera.read, stop):
        stop.set()
    assert camera.shown.qsize() == 4


async def test_what_reading_raises_ends_the_frames() -> None:
    async def read() -> Frame:
        raise ConnectionError("cut")

    with pytest.raises(ConnectionError, match="cut"):
        await anext(read_frames(read, asyncio.Event()))


async def test_nothing_is_left_when_the_frames_are_no_longer_wanted() -> None:
    before = len(asyncio.all_tasks())
    frames = read_frames(Camera(1).read, asyncio.Event())
    await anext(frames)
    waiting = asyncio.ensure_future(anext(frames))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before
