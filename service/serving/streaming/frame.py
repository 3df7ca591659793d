"""A frame of a stream, its pixels, and the slot where it waits: for a worker, and for its turn."""

import asyncio
import threading
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

import cv2
import numpy as np

from service.errors import BlitzError, DeadlineExceeded, ImageTooLarge, InvalidImage
from service.frames import Policy, RawImage
from service.inference.images import Limits
from service.types import Pixels

Picture: TypeAlias = bytes | RawImage | BlitzError
"""An encoded image, raw pixels, or the error that stands in their place."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a stream.

    id, captured_us: the client chooses them, and its result repeats them; the latter is microseconds of the
        client's clock.
    arrived: the time at which it was read, in seconds of the session's clock; clients leave it out.
    """

    id: int
    captured_us: int | None
    picture: Picture
    arrived: float = 0.0


def raw_to_pixels(raw: RawImage, limits: Limits) -> Pixels:
    """uint8 [H, W, 3] RGB, image frame.

    Raises ImageTooLarge, and InvalidImage where the data do not fill the size.

    >>> from service.types import Size
    >>> raw_to_pixels(RawImage("bgr", Size(1, 2), bytes([0, 1, 2, 3, 4, 5])), Limits()).tolist()
    [[[2, 1, 0], [5, 4, 3]]]
    """
    height, width = raw.size.height, raw.size.width
    if raw.size.pixels > limits.max_pixels:
        raise ImageTooLarge(f"{width} x {height} pixels are more than the {limits.max_pixels} accepted here")
    if raw.format == "i420" and (height % 2 or width % 2):
        raise InvalidImage(f"i420 needs an even width and height, got {width} x {height}")
    expected = raw.size.pixels * 3 // (2 if raw.format == "i420" else 1)
    if len(raw.data) != expected:
        raise InvalidImage(
            f"{width} x {height} {raw.format} is {expected} bytes without padding, got {len(raw.data)}"
        )
    values = np.frombuffer(raw.data, np.uint8)
    if raw.format == "i420":
        planes = values.reshape(height * 3 // 2, width)
        return _recolour(planes, cv2.COLOR_YUV2RGB_I420)
    pixels = values.reshape(height, width, 3)
    return pixels if raw.format == "rgb" else _recolour(pixels, cv2.COLOR_BGR2RGB)


def _recolour(values: Pixels, code: int) -> Pixels:
    return cv2.cvtColor(values, code).astype(np.uint8, copy=False)


T = TypeVar("T")

LONGEST_PERIOD_S = 86_400.0  # between two frames; event loops cannot wait for an infinite time


class FrameSlot:
    """The one place in which a frame waits.

    One reader fills it in the event loop, one taker at a time empties it, on any thread. With the policy
    "latest" a newer frame replaces the one that waits, with "all" the reader waits until it is taken.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._lock = threading.Lock()  # guards the frame
        self._frame: Frame | None = None
        self._ended = False
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self.dropped = 0

    async def put(self, frame: Frame) -> None:
        """Let a frame wait; with the policy "all", first wait until the place is free."""
        if self._policy == "all":
            while self._frame is not None:  # the event may be an earlier frame's
                self._emptied.clear()
                await self._emptied.wait()
        with self._lock:
            self.dropped += self._frame is not None
            self._frame = frame
        self._filled.set()

    def end(self) -> None:
        """Say that no frame will follow."""
        self._ended = True
        self._filled.set()

    async def wait(self) -> bool:
        """Wait for a frame; false when none is there and none will follow."""
        await self._filled.wait()
        return self._frame is not None

    def take(self) -> Frame:
        """The newest frame, called in the event loop; only after `wait` has found one."""
        frame = self.pick()
        self.picked()
        return frame

    def pick(self) -> Frame:
        """The newest frame, called on any thread; only after `wait` has found one, and before `picked`."""
        with self._lock:
            frame, self._frame = self._frame, None
        assert frame is not None
        return frame

    def picked(self) -> None:
        """Tell the reader and the taker, in the event loop, that `pick` has emptied the place."""
        if self._frame is None and not self._ended:
            self._filled.clear()
        self._emptied.set()


class Clock(Protocol):
    """Seconds that never go back, and a way to wait for them."""

    def now(self) -> float: ...
    async def wait_until(self, time: float) -> None: ...


class LoopClock:
    """The clock of the running event loop."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def wait_until(self, time: float) -> None:
        await asyncio.sleep(time - self.now())


class Pace:
    """Turns that begin at least 1 / max_fps seconds apart; a turn that is a little late delays no other."""

    def __init__(self, max_fps: float | None, clock: Clock) -> None:
        self._period = min(1 / max_fps, LONGEST_PERIOD_S) if max_fps else 0.0
        self._clock = clock
        self._due = float("-inf")

    async def wait(self, stop: asyncio.Event) -> None:
        """Wait until the next turn may begin, or `stop` is set."""
        if self._due > self._clock.now():
            await unless_stopped(self._clock.wait_until(self._due), stop)

    def begin(self) -> None:
        """Begin a turn now."""
        now = self._clock.now()
        late = now - self._due
        self._due = now + self._period - (late if late < self._period else 0)


async def unless_stopped(
    reading: Awaitable[T], stop: asyncio.Event, *, within_s: float | None = None
) -> T | None:
    """The result of `reading`, or None where `stop` is set first.

    Raises DeadlineExceeded after `within_s` seconds.
    """
    tasks = asyncio.ensure_future(reading), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait(tasks, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if not any(task.done() for task in tasks):
            raise DeadlineExceeded(f"nothing came over this stream for {within_s:g} seconds")
        return tasks[0].result() if tasks[0].done() else None
    finally:
        for task in tasks:
            task.cancel()
        del tasks, task  # a task holds its error, whose traceback holds this frame
