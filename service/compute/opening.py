"""Opens models in processes that serve nobody, so that a model that crashes or hangs harms nobody."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeAlias, TypeVar

from service.compute.child import Child, Owner
from service.compute.models import Opened, OpenWork
from service.compute.task import Task, Work
from service.errors import BackendUnavailable

T = TypeVar("T")
Fork: TypeAlias = Callable[[Owner], Awaitable[Child]]


class Nursery:
    """At the start, one process opens and tests all models; then it keeps them and becomes a slot's."""

    def __init__(self, fork: Fork, *, load_s: float) -> None:
        self._fork = fork
        self._load_s = load_s
        self._lock = asyncio.Lock()
        self.child: Child | None = None

    async def open(self, work: OpenWork, known: Collection[OpenWork]) -> Opened:
        """The model that the process has opened beside the `known` ones; raises ArtifactError's leaves."""
        async with self._lock:
            if self.child is None or self.child.gone:
                self.child = await self._fork(Bystander())
                for each in known:
                    await open_in_time(self.child, each, self._load_s)
            return await open_in_time(self.child, work, self._load_s)

    async def take(self, owner: Owner) -> Child | None:
        """The process, which has another owner from now on; None where there is none."""
        async with self._lock:
            child, self.child = self.child, None
        if child is None or child.gone:
            return None
        child.owner = owner
        return child


async def open_apart(fork: Fork, work: OpenWork, *, load_s: float) -> Opened:
    """The model as a process has opened and tested it that ends then; raises ArtifactError's leaves."""
    child = await fork(Bystander())
    try:
        return await open_in_time(child, work, load_s)
    finally:
        child.kill()


async def open_in_time(child: Child, work: OpenWork, load_s: float) -> Opened:
    """The model that this process has opened; raises ArtifactError's leaves, also where it ends or hangs."""
    try:
        async with asyncio.timeout(load_s):
            return await call(child, work)
    except TimeoutError:
        child.kill()
        raise BackendUnavailable(f"not opened and tested within {load_s:g} s") from None
    except ConnectionError:
        raise BackendUnavailable("the process that opened and tested it ended: see the log") from None


class Bystander:
    """The owner of a process that has no slot."""

    def done(self, child: Child, seconds: float) -> None:
        """There is nothing to do with the room."""

    def lost(self, child: Child, tasks: list[Task[Any]]) -> None:
        """Nothing begins again elsewhere."""
        for task in tasks:
            task.fail(ConnectionError("the compute process has ended"))


async def call(child: Child, work: Work[T]) -> T:
    """The result of a work in this very process; raises ConnectionError where that ends."""
    task = make_task(work)
    child.send(task, crowded=False)
    return await task.future


def make_task(work: Work[T]) -> Task[T]:
    """A task for one process, which begins nowhere else."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    return Task(lambda: work, future, time.monotonic(), counted=False, retries=False)
