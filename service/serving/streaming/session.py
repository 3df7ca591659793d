"""One stream, from its first frame to its last result."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, TypeVar

from service.compute.task import Work
from service.errors import BlitzError
from service.frames import FrameResult, Outcome, StreamOptions
from service.serving.streaming.frame import Frame, Picture
from service.serving.streaming.inbox import Inbox
from service.serving.streaming.pace import Clock, LoopClock, Pace
from service.serving.tracking import TrackPolicy, Tracks, follow_instances, load_solver
from service.types import Segmentation, seconds_to_ms

T = TypeVar("T")

Plan: TypeAlias = Callable[[Picture], Work[Segmentation]]
Frames: TypeAlias = AsyncGenerator[Frame, None]
Send: TypeAlias = Callable[[FrameResult], Awaitable[None]]

AHEAD = 2  # frames in flight per slot: some work while others wait for their turn to be sent
LOOP_CLOCK = LoopClock()


class Workers(Protocol):
    """What a session needs of `Admission`: slots, granted in the order in which they are asked for."""

    @property
    def slots(self) -> int: ...
    def queue(self, plan: Callable[[], Work[T]]) -> asyncio.Future[T]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Begun:
    """A frame that was begun."""

    frame: Frame
    begun: float
    segmentation: asyncio.Future[Segmentation]


class StreamSession:
    """Answers the frames of one stream; runs once.

    `plan` gives the work for a picture when a slot takes it. With `tracking`, instances that score below
    `threshold` are left out unless they continue an identity.
    """

    def __init__(
        self,
        plan: Plan,
        workers: Workers,
        *,
        options: StreamOptions,
        tracking: TrackPolicy | None = None,
        threshold: float = 0.0,
        clock: Clock = LOOP_CLOCK,
    ) -> None:
        self._plan = plan
        self._workers = workers
        self._clock = clock
        self._tracks = None if tracking is None else Tracks(tracking)
        self._threshold = threshold
        self._inbox = Inbox(options.policy)
        self._pace = Pace(options.max_fps, clock)
        self._room = asyncio.Semaphore(AHEAD * workers.slots)
        self._outbox: asyncio.Queue[Begun | None] = asyncio.Queue()

    @property
    def dropped(self) -> int:
        """Frames that were not answered, so far."""
        return self._inbox.dropped

    async def run(self, frames: Frames, send: Send) -> None:
        """Answer every frame that is not dropped, in order; returns when the last result is sent.

        A frame that fails is answered with its error. What `frames` or `send` raise ends the session at once.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(frames))
                group.create_task(self._begin_all())
                group.create_task(self._send_all(send))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            self._abandon()

    async def _read(self, frames: Frames) -> None:
        async with aclosing(frames):
            async for frame in frames:
                await self._inbox.put(frame)
        self._inbox.end()

    async def _begin_all(self) -> None:
        if self._tracks is not None:
            await asyncio.to_thread(load_solver)  # now: answers that wait for it later would be old ones
        while True:
            await self._room.acquire()
            if not await self._inbox.wait():
                break
            await self._pace.wait()
            await self._begin_one()
        self._outbox.put_nowait(None)

    async def _begin_one(self) -> None:
        """Let a slot begin the frame that is the newest by then; returns when it has."""
        loop = asyncio.get_running_loop()
        taken: asyncio.Future[Frame] = loop.create_future()

        def begin() -> Work[Segmentation]:
            frame = self._inbox.pick()
            loop.call_soon_threadsafe(self._go_on, taken, frame)
            return self._plan(frame.picture)

        segmentation = self._queue(begin)
        try:
            frame = await taken
        except asyncio.CancelledError:
            segmentation.cancel()
            raise
        self._outbox.put_nowait(Begun(frame, self._clock.now(), segmentation))

    def _queue(self, begin: Callable[[], Work[Segmentation]]) -> asyncio.Future[Segmentation]:
        try:
            return self._workers.queue(begin)
        except BlitzError as error:
            begin()
            refused: asyncio.Future[Segmentation] = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            return refused

    def _go_on(self, taken: asyncio.Future[Frame], frame: Frame) -> None:
        self._inbox.picked()
        self._pace.begin()
        if not taken.done():
            taken.set_result(frame)

    async def _send_all(self, send: Send) -> None:
        while (work := await self._outbox.get()) is not None:
            outcome = await self._finish(work)
            await send(self._describe(work, outcome))
            self._room.release()

    async def _finish(self, work: Begun) -> Outcome:
        try:
            return await self._identify(work.frame, await work.segmentation)
        except Exception as error:
            return error

    async def _identify(self, frame: Frame, found: Segmentation) -> Segmentation:
        if self._tracks is None:
            return found
        time = frame.arrived if frame.captured_us is None else frame.captured_us / 1e6
        tracks, named = await asyncio.to_thread(follow_instances, self._tracks, found, time=time)
        self._tracks = tracks
        return _hide_doubtful(named, self._threshold)

    def _describe(self, work: Begun, outcome: Outcome) -> FrameResult:
        frame = work.frame
        return FrameResult(
            id=frame.id,
            captured_us=frame.captured_us,
            outcome=outcome,
            age_ms=seconds_to_ms(self._clock.now() - frame.arrived),
            queue_ms=seconds_to_ms(work.begun - frame.arrived),
            dropped=self.dropped,
        )

    def _abandon(self) -> None:
        """Nobody will send what was begun: neither wait for it, nor let asyncio complain of its errors."""
        while not self._outbox.empty():
            work = self._outbox.get_nowait()
            if work is not None and not work.segmentation.cancel():
                work.segmentation.exception()


def _hide_doubtful(found: Segmentation, threshold: float) -> Segmentation:
    """Without the instances that only the tracker wanted to see, and could make nothing of."""
    shown = (one for one in found.instances if one.score >= threshold or one.track_id is not None)
    return replace(found, instances=tuple(shown))
