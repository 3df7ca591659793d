"""Bounded work: a place in a slot, a place in the queue, or Overloaded at once."""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

from service.errors import DeadlineExceeded, NotReady, Overloaded
from service.types import count_few

T = TypeVar("T")

RECENT = 0.1  # share of the newest piece of work in the running mean of how long one takes


class Job(Generic[T]):
    """Work for a slot; `future` gets its result in the loop. `counted`: it takes a place in the queue."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Callable[[], T], *, counted: bool) -> None:
        self.future: asyncio.Future[T] = loop.create_future()
        self.loop = loop
        self.counted = counted
        self._work: Callable[[], T] | None = work
        self._outcome: Callable[[], None] | None = None

    def run(self) -> None:
        """Do the work, on this thread, once."""
        work, self._work = self._work, None  # with all that it holds
        assert work is not None
        try:
            self._outcome = partial(self.future.set_result, work())
        except BaseException as error:
            self._outcome = partial(self.future.set_exception, error)

    def tell(self) -> None:
        """Let the loop know how it went."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        outcome, self._outcome = self._outcome, None
        if outcome is not None and not self.future.done():
            outcome()


class Admission:
    """Runs blocking work on `slots` threads, first come first served; used from one event loop.

    At most `queue_limit` callers wait, and nobody joins who would have to wait longer than `longest_wait`
    seconds as work goes at present: on a slow machine, or with a large model, a short queue is long already.
    A deadline is a time of the loop's clock: what still waits then is dropped, what has begun is finished. A
    cancelled caller leaves the queue; its slot, if it had one, is free again when its thread is.

    A thread that is done takes the next job itself: until the loop had seen to it, its core would be idle.
    """

    def __init__(self, slots: int, queue_limit: int, *, longest_wait: float = math.inf) -> None:
        self.slots = slots
        self.queue_limit = queue_limit
        self.longest_wait = longest_wait
        self._mean_seconds = 0.0
        self._lock = threading.Lock()  # around what follows, which the threads see too
        self._free = slots
        self._jobs: deque[Job[Any]] = deque()
        self._uncounted = 0  # those of the jobs that no limit holds for
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="slot")

    @property
    def running(self) -> int:
        return self.slots - self._free

    @property
    def waiting(self) -> int:
        return len(self._jobs) - self._uncounted

    @property
    def waiting_frames(self) -> int:
        """How many wait for a slot without a place in the queue."""
        return self._uncounted

    @property
    def crowded(self) -> bool:
        """Whether so many slots are at work that each should keep to its own core; from any thread."""
        return self.running > count_few(self.slots)

    @property
    def expected_wait(self) -> float:
        """Seconds that a caller who joins the queue now would wait, by the pace of recent work."""
        return self._mean_seconds * len(self._jobs) / self.slots

    def check(self) -> None:
        """Refuse early, before a body is read; raises what `run` would raise now."""
        if self._closed:
            raise NotReady("the service is stopping")
        full = self.waiting >= self.queue_limit or self.expected_wait > self.longest_wait
        if self._free == 0 and full:
            raise Overloaded(
                f"all {self.slots} slots are busy and {self.waiting} requests wait; come back in a moment"
            )

    async def run(self, work: Callable[[float], T], *, deadline: float | None = None) -> T:
        """The result of `work`, called on a worker thread with the seconds it waited for its slot.

        Raises Overloaded, DeadlineExceeded or NotReady without having begun, and whatever `work` raises.
        """
        self.check()
        loop = asyncio.get_running_loop()
        if deadline is not None and deadline <= loop.time():
            raise DeadlineExceeded("the deadline had passed before the work could begin")
        arrived = time.monotonic()
        job = Job(loop, lambda: work(time.monotonic() - arrived), counted=True)
        if self._enter(job) or deadline is None:
            return await job.future
        expiry = loop.call_at(deadline, self._expire, job)
        try:
            return await job.future
        finally:
            expiry.cancel()

    def queue(self, begin: Callable[[], Callable[[], T]]) -> asyncio.Future[T]:
        """The result of the work that `begin` gives, both called by the thread of a slot once there is one.

        For the frames of streams, each of which has one at a time here: the queue's limit does not count
        them. Raises NotReady. A future that is cancelled in time has taken nothing.
        """
        if self._closed:
            raise NotReady("the service is stopping")
        job = Job(asyncio.get_running_loop(), lambda: begin()(), counted=False)
        self._enter(job)
        return job.future

    async def drain(self) -> None:
        """Take nothing new; returns when all that had been taken is done."""
        self._closed = True
        await self._idle.wait()

    def close(self) -> None:
        """Let the threads go; work that runs is not waited for."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _enter(self, job: Job[T]) -> bool:
        """Whether a slot was free, where the job begins now; else it waits for the next one."""
        with self._lock:
            if self._free == 0:
                self._jobs.append(job)
                self._uncounted += not job.counted
                job.future.add_done_callback(lambda future: self._leave(job))
                return False
            self._free -= 1
        self._idle.clear()
        self._threads.submit(self._work, job)
        return True

    def _leave(self, job: Job[T]) -> None:
        """A job that is done for before it has begun waits no more."""
        with self._lock, suppress(ValueError):
            self._jobs.remove(job)
            self._uncounted -= not job.counted

    def _expire(self, job: Job[T]) -> None:
        if job in self._jobs and not job.future.done():
            job.future.set_exception(
                DeadlineExceeded("the deadline passed while the request waited for a slot")
            )

    def _work(self, first: Job[Any]) -> None:
        """A thread's stint: this job, and those that wait by then."""
        job: Job[Any] | None = first
        while job is not None:
            began = time.monotonic()
            job.run()
            self._mean_seconds += RECENT * (time.monotonic() - began - self._mean_seconds)
            done, job = job, self._next()
            done.tell()  # now: who has his answer finds the slot free
            del done  # and what it holds, before the next one's work
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            first.loop.call_soon_threadsafe(self._settle)

    def _next(self) -> Job[Any] | None:
        """The job whose turn it is; where there is none the slot is free."""
        with self._lock:
            while self._jobs:
                job = self._jobs.popleft()
                self._uncounted -= not job.counted
                if not job.future.done():
                    return job
            self._free += 1
            return None

    def _settle(self) -> None:
        if self._free == self.slots:
            self._idle.set()
