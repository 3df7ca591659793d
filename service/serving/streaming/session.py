"""One stream, from its first frame to its last result."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias, TypeVar

from service.compute.task import Work
from service.errors import BlitzError, DeadlineExceeded
from service.events.report import Report
from service.events.watch import Watch, watch_instances
from service.frames import FrameResult, Outcome, Rendered, StreamOptions
from service.serving.streaming.frame import Clock, Frame, FrameSlot, LoopClock, Pace, unless_stopped
from service.serving.tracking import TrackPolicy, Tracks, follow_instances
from service.types import Segmentation, seconds_to_ms

T = TypeVar("T")

Found: TypeAlias = Segmentation | Rendered
Plan: TypeAlias = Callable[[Frame], Work[Found]]
Read: TypeAlias = Callable[[], Awaitable[Frame | None]]
Send: TypeAlias = Callable[[FrameResult], Awaitable[None]]

AHEAD = 2  # frames in flight per slot: some are computed while others wait to be sent in order
LOOP_CLOCK = LoopClock()


class Workers(Protocol):
    """The part of `Admission` that a session needs: slots, granted in the order of the requests for them."""

    @property
    def slots(self) -> int: ...
    def queue(self, plan: Callable[[], Work[T]]) -> asyncio.Future[T]: ...


@dataclass(frozen=True, slots=True, eq=False)
class StreamEnds:
    """The events that end a session before the client's last frame.

    stop: once it is set no frame is read, and those that were read are answered without any pause.
    idle_s: DeadlineExceeded is raised when nothing is read, or the client takes nothing, for so many seconds.
    watch: runs beside the session, and raises when the client is gone; a transport needs it where it cannot
        notice this while the session reads nothing.
    """

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    idle_s: float | None = None
    watch: Callable[[], Coroutine[None, None, None]] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Begun:
    """A frame in a slot, and its segmentation to come."""

    frame: Frame
    begun: float
    segmentation: asyncio.Future[Found]


class StreamSession:
    """Answers the frames of one stream; runs once.

    `plan` gives the work for a frame when a slot takes it. `tracking` gives the instances identities; those
    that score below `threshold` are shown to the tracker only. Where the options have a scene, the results
    report its events.
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
        self._watch = None if options.scene is None else Watch(options.scene, options.track_memory)
        self._threshold = threshold
        self._waiting = FrameSlot(options.policy)
        self._pace = Pace(options.max_fps, clock)
        self._room = asyncio.Semaphore(AHEAD * workers.slots)
        self._outbox: asyncio.Queue[Begun | None] = asyncio.Queue()

    @property
    def dropped(self) -> int:
        """The number of frames that newer ones have replaced so far."""
        return self._waiting.dropped

    async def run(self, read: Read, send: Send, ends: StreamEnds | None = None) -> None:
        """Answer in order every frame that is not dropped; returns when the last result is sent.

        `read` gives None after the last frame. A frame that fails is answered with its error. An error of
        `read`, `send` or `ends` ends the session at once and is raised.
        """
        ends = ends or StreamEnds()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read_all(read, ends))
                group.create_task(self._begin_all(ends.stop))
                sending = group.create_task(self._send_all(send, ends.idle_s))
                if ends.watch is not None:
                    watching = group.create_task(ends.watch())
                    sending.add_done_callback(lambda done: watching.cancel())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            self._abandon()

    async def _read_all(self, read: Read, ends: StreamEnds) -> None:
        while not ends.stop.is_set():
            frame = await unless_stopped(read(), ends.stop, within_s=ends.idle_s)
            if frame is None:
                break
            await _within(ends.idle_s, self._waiting.put(frame), "no frame of this stream could begin")
        self._waiting.end()

    async def _begin_all(self, stop: asyncio.Event) -> None:
        while True:
            await self._room.acquire()
            if not await self._waiting.wait():
                break
            await self._pace.wait(stop)
            await self._begin_one()
        self._outbox.put_nowait(None)

    async def _begin_one(self) -> None:
        """Let a slot begin the frame that is the newest when the slot is free; returns when it has begun."""
        loop = asyncio.get_running_loop()
        taken: asyncio.Future[Frame] = loop.create_future()

        def begin() -> Work[Found]:
            frame = self._waiting.pick()
            loop.call_soon_threadsafe(self._go_on, taken, frame)
            return self._plan(frame)

        segmentation = self._queue(begin)
        try:
            frame = await taken
        except asyncio.CancelledError:
            segmentation.cancel()
            raise
        self._outbox.put_nowait(Begun(frame, self._clock.now(), segmentation))

    def _queue(self, begin: Callable[[], Work[Found]]) -> asyncio.Future[Found]:
        try:
            return self._workers.queue(begin)
        except BlitzError as error:
            begin()
            refused: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            return refused

    def _go_on(self, taken: asyncio.Future[Frame], frame: Frame) -> None:
        self._waiting.picked()
        self._pace.begin()
        if not taken.done():
            taken.set_result(frame)

    async def _send_all(self, send: Send, idle_s: float | None) -> None:
        while (work := await self._outbox.get()) is not None:
            outcome, report = await self._finish(work)
            result = self._describe(work, outcome, report=report)
            await _within(idle_s, send(result), "the client took no result")
            self._room.release()

    async def _finish(self, work: Begun) -> tuple[Outcome, Report | None]:
        try:
            found = await work.segmentation
            if self._tracks is None or isinstance(found, Rendered):
                return found, None
            return await asyncio.to_thread(self._identify, self._tracks, found, work.frame)
        except BlitzError as error:
            return error.with_traceback(None), None  # its frames hold the picture, and one of them the error
        except Exception as error:
            return error, None

    def _identify(
        self, tracks: Tracks, found: Segmentation, frame: Frame
    ) -> tuple[Segmentation, Report | None]:
        """The answer with identities, and the events of a scene; one frame after the other, on a thread."""
        time = frame.arrived if frame.captured_us is None else frame.captured_us / 1e6
        self._tracks, named = follow_instances(tracks, found, time=time)
        shown = replace(
            named, instances=tuple(one for one in named.instances if one.score >= self._threshold)
        )
        if self._watch is None:
            return shown, None
        self._watch, report = watch_instances(self._watch, shown, time_s=time)
        return shown, report

    def _describe(self, work: Begun, outcome: Outcome, *, report: Report | None) -> FrameResult:
        frame = work.frame
        return FrameResult(
            id=frame.id,
            captured_us=frame.captured_us,
            outcome=outcome,
            age_ms=seconds_to_ms(self._clock.now() - frame.arrived),
            queue_ms=seconds_to_ms(work.begun - frame.arrived),
            dropped=self.dropped,
            report=report,
        )

    def _abandon(self) -> None:
        """Cancel the work whose results will not be sent; fetch its errors, so that asyncio does not log
        them.
        """
        while not self._outbox.empty():
            work = self._outbox.get_nowait()
            if work is not None and not work.segmentation.cancel():
                work.segmentation.exception()


async def _within(seconds: float | None, waiting: Awaitable[None], complaint: str) -> None:
    """Wait; raises DeadlineExceeded with the complaint when it takes longer."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            await waiting
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise DeadlineExceeded(f"{complaint} for {seconds:g} seconds") from error
