"""A stream whose camera, client and workers act only when a test tells them to."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from service.compute.task import Turn, Work
from service.serving.streaming import Frame, FrameResult, Picture, StreamEnds, StreamOptions, StreamSession
from service.serving.tracking import TrackPolicy
from service.types import BackendInfo, Instance, Segmentation, Size
from tests.running import PATIENCE_S

T = TypeVar("T")

LATEST, ALL = StreamOptions(), StreamOptions(policy="all")


class FakeClock:
    """Stands still until it is told a time."""

    def __init__(self) -> None:
        self.time = 100.0
        self._waiting: list[tuple[float, asyncio.Event]] = []

    def now(self) -> float:
        return self.time

    async def wait_until(self, time: float) -> None:
        reached = asyncio.Event()
        self._waiting.append((time, reached))
        await reached.wait()

    async def advance(self, seconds: float) -> None:
        self.time += seconds
        for time, reached in self._waiting:
            if time <= self.time:
                reached.set()
        await settle()


class FakeWorkers:
    """Slots whose work is done when the test says so."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.free = slots
        self.refusal: Exception | None = None
        self.begun: list[Callable[[], None]] = []
        self._waiting: deque[tuple[Callable[[], Work[Any]], asyncio.Future[Any]]] = deque()

    def queue(self, begin: Callable[[], Work[T]]) -> asyncio.Future[T]:
        if self.refusal is not None:
            raise self.refusal
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((begin, future))
        self._begin_next()
        return future

    def hold(self) -> None:
        """Take a slot away."""
        self.free -= 1

    def release(self) -> None:
        """Give a slot back."""
        self.free += 1
        self._begin_next()

    def _begin_next(self) -> None:
        while self._waiting and self.free:
            begin, future = self._waiting.popleft()
            if not future.cancelled():
                self.free -= 1
                self.begun.append(partial(self._finish, begin(), future))

    def _finish(self, work: Work[Any], future: asyncio.Future[Any]) -> None:
        self.release()
        if future.cancelled():
            return
        try:
            future.set_result(work(Turn(crowded=False, waited_s=0)))
        except Exception as error:
            future.set_exception(error)

    async def finish(self, number: int = 0) -> None:
        """Do the work that was begun as this number of those that are not done."""
        self.begun.pop(number)()
        await settle()

    @property
    def idle(self) -> bool:
        return self.free == self.slots


@dataclass
class Stage:
    """One stream; `read` counts the frames that the session took from the camera."""

    workers: FakeWorkers
    options: StreamOptions = LATEST
    tracking: TrackPolicy | None = None
    threshold: float = 0.0
    clock: FakeClock = field(default_factory=FakeClock)
    results: list[FrameResult] = field(default_factory=list)
    read: int = 0
    ends: StreamEnds | None = None

    def __post_init__(self) -> None:
        self.reading = asyncio.Event()  # whether the client reads its results
        self.reading.set()
        self.gone = False
        self.captured_us: list[int] = []
        self._pictures: asyncio.Queue[Picture | ConnectionError | None] = asyncio.Queue()
        self.session = StreamSession(
            lambda frame: lambda turn: segment(frame.picture),
            self.workers,
            options=self.options,
            tracking=self.tracking,
            threshold=self.threshold,
            clock=self.clock,
        )
        self.task = asyncio.create_task(self.session.run(self._read, self._send, self.ends))

    async def show(self, *pictures: Picture | ConnectionError | None) -> None:
        """The camera shows these, the last of which may be the end of the stream."""
        for picture in pictures:
            self._pictures.put_nowait(picture)
        await settle()

    async def stop(self) -> None:
        self.task.cancel()
        await self.finished()

    async def finished(self) -> None:
        """Until the session has ended, however that is."""
        await asyncio.gather(self.task, return_exceptions=True)

    async def identities(self, count: int, *, next_done: int = 0) -> list[list[int | None]]:
        """Do all work, and give the identities in so many results; tracking takes its time on a thread."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.results) < count:
                while self.workers.begun:
                    await self.workers.finish(next_done)
                await asyncio.sleep(0.001)
        found = [result.outcome for result in self.results if isinstance(result.outcome, Segmentation)]
        return [[instance.track_id for instance in one.instances] for one in found]

    @property
    def answers(self) -> list[str]:
        """The answers so far: the version, which `segment` takes from the picture, or the error."""
        return [
            outcome.version if isinstance(outcome, Segmentation) else str(outcome)
            for outcome in (result.outcome for result in self.results)
        ]

    async def _read(self) -> Frame | None:
        picture = await self._pictures.get()
        if isinstance(picture, ConnectionError):
            raise picture
        if picture is None:
            return None
        captured_us = self.captured_us[self.read] if self.captured_us else None
        self.read += 1
        return Frame(self.read, captured_us, picture, self.clock.now())

    async def _send(self, result: FrameResult) -> None:
        await self.reading.wait()
        if self.gone:
            raise BrokenPipeError
        self.results.append(result)


def segment(picture: Picture) -> Segmentation:
    """A car.

    Its score is the number in the picture, if that is below 1; the version is the picture itself.
    """
    if isinstance(picture, Exception):
        raise picture
    assert isinstance(picture, bytes)
    if picture == b"broken":
        raise ZeroDivisionError("a bug")
    score = float(picture)
    cars = (Instance("car", 3, score, (10, 10, 20, 20), None, None),) if score < 1 else ()
    backend = BackendInfo("onnx", "1", "fp32", 1, (), ())
    return Segmentation(Size(100, 100), cars, "toy", picture.decode(), backend)


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(100):
        await asyncio.sleep(0)
