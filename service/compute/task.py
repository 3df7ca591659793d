"""The vocabulary between admission and the slots (Work, Turn, Task, Executor), and slots that are threads."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

from service.types import count_few

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Turn:
    """The circumstances in which a work begins.

    crowded: other slots are at work, so this one keeps to its own core. waited_s: seconds since it was asked.
    """

    crowded: bool
    waited_s: float


class Work(Protocol[R_co]):
    """Something to compute; for compute processes it must be picklable, and so must its result."""

    def __call__(self, turn: Turn, /) -> R_co: ...


@runtime_checkable
class Pictured(Protocol):
    """A work on one picture, which is to blame where the work ends a process."""

    @property
    def image(self) -> bytes: ...


@dataclass(slots=True, eq=False, repr=False)  # a picture in an error's text would take milliseconds
class Task(Generic[T]):
    """A work on its way through the queue and a slot; `future` gets its result in the loop.

    plan: gives the work, once, when a slot takes the task. counted: it takes a place in the queue.
    arrived, deadline: seconds of the monotonic clock. begun: a slot works on it, as far as the loop knows.
    deaths: compute processes that ended while they ran it. retries: it may begin again in another one.
    """

    plan: Callable[[], Work[T]]
    future: asyncio.Future[T]
    arrived: float
    counted: bool = True
    deadline: float | None = None
    begun: bool = False
    deaths: int = 0
    retries: bool = True
    _work: Work[T] | None = field(default=None, init=False)

    @property
    def work(self) -> Work[T]:
        """The work, planned when it is first needed; raises what `plan` raises."""
        if self._work is None:
            self._work = self.plan()
        return self._work

    def succeed(self, result: T) -> None:
        """Give the result to the caller, if it still waits."""
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Give the error to the caller, if it still waits."""
        if not self.future.done():
            self.future.set_exception(error)


def count_behind(slots: Iterable[Iterable[Task[Any]]]) -> tuple[int, int]:
    """Tasks of the slots that have not begun and that somebody waits for: all of them, and the counted."""
    behind = [task for tasks in slots for task in tasks if not task.begun and not task.future.done()]
    return len(behind), sum(task.counted for task in behind)


class Listener(Protocol):
    """The side of admission that an executor reports to, in the loop."""

    def finished(self, seconds: float) -> None:
        """A task is done after so many seconds of work: there is room for another."""
        ...

    def returned(self, task: Task[Any]) -> None:
        """A task that was taken could not be computed: it goes back to the front of the queue."""
        ...

    def roomier(self) -> None:
        """A slot has become able to work."""
        ...


class Executor(Protocol):
    """Slots that run tasks; used from one event loop."""

    @property
    def busy(self) -> int:
        """Slots at work."""
        ...

    @property
    def ahead(self) -> tuple[int, int]:
        """Tasks that were taken and wait behind the one their slot works on: all of them, and the counted."""
        ...

    def listen(self, listener: Listener) -> None:
        """Report to this listener from now on."""
        ...

    def has_room(self, *, ahead: bool) -> bool:
        """Whether a slot can begin a task, or, `ahead` of time, take one that follows the task it runs."""
        ...

    def take(self, task: Task[Any]) -> None:
        """Run a task in the best slot, now or right after the task that it runs."""
        ...

    def close(self) -> None:
        """Let all slots go; work that runs is not waited for."""
        ...


DEPTH = 2  # tasks of a slot: one runs, one follows without a round through the loop

_Order: TypeAlias = tuple[Task[Any], bool] | None


class ThreadExecutor:
    """Runs every task on one of `slots` threads, in the order in which the slot took them."""

    def __init__(self, slots: int) -> None:
        self._tasks: list[deque[Task[Any]]] = [deque() for _ in range(slots)]
        self._orders: list[SimpleQueue[_Order]] = [SimpleQueue() for _ in range(slots)]
        self._threads: dict[int, threading.Thread] = {}
        self._listener: Listener | None = None

    @property
    def busy(self) -> int:
        return sum(1 for tasks in self._tasks if tasks)

    @property
    def ahead(self) -> tuple[int, int]:
        return count_behind(self._tasks)

    def listen(self, listener: Listener) -> None:
        self._listener = listener

    def has_room(self, *, ahead: bool) -> bool:
        return min(map(len, self._tasks)) < (DEPTH if ahead else 1)

    def take(self, task: Task[Any]) -> None:
        slot = min(range(len(self._tasks)), key=lambda each: len(self._tasks[each]))
        try:
            _ = task.work
        except Exception as error:
            task.fail(error)
            return
        task.begun = not self._tasks[slot]
        self._tasks[slot].append(task)
        self._start(slot)
        self._orders[slot].put((task, self.busy > count_few(len(self._tasks))))

    def close(self) -> None:
        for slot in self._threads:
            self._orders[slot].put(None)

    def _start(self, slot: int) -> None:
        if slot not in self._threads:
            loop = asyncio.get_running_loop()
            thread = threading.Thread(target=self._serve, args=(slot, loop), name=f"slot-{slot}", daemon=True)
            self._threads[slot] = thread
            thread.start()

    def _serve(self, slot: int, loop: asyncio.AbstractEventLoop) -> None:
        while (order := self._orders[slot].get()) is not None:
            deliver = _run(*order)
            del order  # and what its task holds, before the next one's work
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._finish, slot, *deliver)
            del deliver

    def _finish(self, slot: int, deliver: partial[None], seconds: float) -> None:
        tasks = self._tasks[slot]
        tasks.popleft()
        if tasks:
            tasks[0].begun = True
        deliver()
        assert self._listener is not None
        self._listener.finished(seconds)


def _run(task: Task[Any], crowded: bool) -> tuple[partial[None], float]:
    """The delivery of a task's result, and the seconds of its work."""
    if task.future.done():  # its caller has gone
        return partial(task.succeed, None), 0.0
    began = time.monotonic()
    try:
        outcome = partial(task.succeed, task.work(Turn(crowded, began - task.arrived)))
    except BaseException as error:
        outcome = partial(task.fail, error)
    return outcome, time.monotonic() - began
