"""Slots that are threads of this process: for devices that one process has to own, and for tests."""

import asyncio
import threading
import time
from collections import deque
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeAlias

from service.compute.task import Listener, Task, Turn, count_behind
from service.types import count_few

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
