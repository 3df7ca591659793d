"""Bounded work: a place in a slot, a place in the queue, or Overloaded at once."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from service.compute.task import Executor, Task, ThreadExecutor, Work
from service.errors import DeadlineExceeded, NotReady, Overloaded

T = TypeVar("T")

REFUSAL_S = 0.05  # before a caller learns that there is no room
RECENT = 0.1  # weight of the newest work in the running mean of how long one takes


async def delay_refusal(error: Exception) -> None:
    """Wait a moment where the error is Overloaded.

    Clients that come back at once would otherwise spend on refusals what the others' pictures need.
    """
    if isinstance(error, Overloaded):
        await asyncio.sleep(REFUSAL_S)


class Admission:
    """Runs work in `slots` slots, first come first served; used from one event loop.

    At most `queue_limit` requests wait, and none joins that would wait longer than `longest_wait` seconds at
    the present pace: on a slow machine, or with a large model, a short queue already lasts long. A deadline
    is a time of the monotonic clock: a request that still waits then is dropped, one that has begun is
    finished. A cancelled caller leaves the queue. By default the slots are threads of this process.
    """

    def __init__(
        self,
        slots: int,
        queue_limit: int,
        *,
        longest_wait: float = math.inf,
        executor: Executor | None = None,
    ) -> None:
        self.slots = slots
        self.queue_limit = queue_limit
        self.longest_wait = longest_wait
        self.refused = 0  # since the start
        self._executor = executor or ThreadExecutor(slots)
        self._executor.listen(self)
        self._queue: deque[Task[Any]] = deque()
        self._mean_seconds = 0.0
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """Slots at work."""
        return self._executor.busy

    @property
    def waiting(self) -> int:
        """Requests that have not begun."""
        return self._executor.ahead[1] + sum(task.counted for task in self._queue)

    @property
    def waiting_frames(self) -> int:
        """Frames of streams that have not begun; they take no place in the queue."""
        ahead, counted = self._executor.ahead
        return ahead - counted + sum(not task.counted for task in self._queue)

    @property
    def expected_wait(self) -> float:
        """Seconds that a caller who joins the queue now would wait, by the pace of recent work."""
        return self._mean_seconds * (self._executor.ahead[0] + len(self._queue)) / self.slots

    def check(self) -> None:
        """Refuse early, before a body is read; raises what `run` would raise now."""
        if self._closed:
            raise NotReady("the service is stopping")
        if self.running < self.slots and not self._queue:
            return
        if self.waiting >= self.queue_limit or self.expected_wait > self.longest_wait:
            self.refused += 1
            raise Overloaded(
                f"all {self.slots} slots are busy and {self.waiting} requests wait; come back in a moment"
            )

    async def run(self, work: Work[T], *, deadline: float | None = None) -> T:
        """The result of `work`, computed in a slot.

        Raises Overloaded, DeadlineExceeded or NotReady without having begun, and the errors of `work`.
        """
        self.check()
        if deadline is not None and deadline <= time.monotonic():
            raise DeadlineExceeded("the deadline had passed before the work could begin")
        task = self._enter(lambda: work, deadline=deadline)
        expiry = None
        if not task.begun and deadline is not None:
            expiry = task.future.get_loop().call_at(deadline, self._expire, task)
        try:
            return await task.future
        finally:
            if expiry is not None:
                expiry.cancel()
            self._leave(task)
            del task  # its future holds its error, whose traceback holds this frame and the picture

    def queue(self, plan: Callable[[], Work[T]]) -> asyncio.Future[T]:
        """The result of the work that `plan` gives, which is called once a slot takes it.

        For the frames of streams, each of which has one at a time here: the queue's limit does not count
        them. Raises NotReady. A future that is cancelled in time has planned nothing.
        """
        if self._closed:
            raise NotReady("the service is stopping")
        task = self._enter(plan, counted=False)
        if not task.begun:
            task.future.add_done_callback(lambda future: self._leave(task))
        return task.future

    async def drain(self) -> None:
        """Take nothing new; returns when all that had been taken is done."""
        self._closed = True
        await self._idle.wait()

    def close(self) -> None:
        """Release the slots, without waiting for work that runs."""
        self._closed = True
        self._executor.close()

    def finished(self, seconds: float) -> None:
        """Reported by the executor: a task is done, and there is room for the next one."""
        if seconds:
            self._mean_seconds += RECENT * (seconds - self._mean_seconds)
        self.roomier()

    def returned(self, task: Task[Any]) -> None:
        """Reported by the executor: a task that it had taken has to begin again."""
        if not task.future.done():
            self._queue.appendleft(task)
        self.roomier()

    def roomier(self) -> None:
        """Reported by the executor: a slot can take a task."""
        while self._queue and self._has_room(self._queue[0]):
            task = self._queue.popleft()
            if not task.future.done():
                self._executor.take(task)
        self._note_idle()

    def _note_idle(self) -> None:
        if not self._queue and not self._executor.busy:
            self._idle.set()

    def _enter(
        self, plan: Callable[[], Work[T]], *, deadline: float | None = None, counted: bool = True
    ) -> Task[T]:
        """A task that has been taken, or waits in the queue."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        task = Task(plan, future, time.monotonic(), counted, deadline)
        self._idle.clear()
        if self._queue or not self._has_room(task):
            self._queue.append(task)
            self.roomier()  # the queue has become longer, which may let its first task go ahead
        else:
            self._executor.take(task)
            self._note_idle()  # a task that the executor refused at once leaves nothing to wait for
        return task

    def _has_room(self, task: Task[Any]) -> bool:
        """Whether a slot takes the task: a request ahead of time, a frame only where many others wait.

        So no core waits for the loop between two tasks. The frame of a stream alone goes to a slot not before
        its work can begin, so that it is the newest there is.
        """
        crowded = len(self._queue) > self.slots
        return self._executor.has_room(ahead=task.counted or crowded)

    def _leave(self, task: Task[Any]) -> None:
        """A task that is done with before it has begun waits no more."""
        if task in self._queue:
            self._queue.remove(task)

    def _expire(self, task: Task[Any]) -> None:
        if not task.begun:
            task.fail(DeadlineExceeded("the deadline passed while the request waited for a slot"))
