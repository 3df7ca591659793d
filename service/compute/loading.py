"""Work outside the slots: models that are opened and tested in a process that may crash or hang over them."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from service.compute.child import Child, Owner
from service.compute.models import DescribedModel, KeptFolder, Opened, OpenWork
from service.compute.task import Task, Work
from service.compute.timing import FastestFiles, TimeWork
from service.errors import BackendUnavailable, BlitzError
from service.inference.backends.base import PACKAGES, BackendChoice
from service.inference.card import read_card
from service.inference.images import Limits
from service.inference.model import Model

T = TypeVar("T")
Fork: TypeAlias = Callable[[Owner], Awaitable[Child]]


class Loader:
    """Opens models; `models` are those that every slot has to open, by their numbers."""

    def __init__(self, fork: Fork, fastest: FastestFiles, *, load_s: float) -> None:
        """`fastest` says which file of a model is opened where the choice leaves that open."""
        self.models: dict[int, OpenWork] = {}
        self.nursery = Nursery(fork, load_s=load_s)
        self._fork = fork
        self._fastest = fastest
        self._load_s = load_s
        self._numbers = itertools.count()

    def settle(self, folder: Path, choice: BackendChoice) -> BackendChoice:
        """The choice of the fastest file of a folder, where that is known and left open; reads its card."""
        if choice.precision != "auto" or choice.providers or choice.delegates:
            return choice
        with suppress(BlitzError):
            known = self._fastest.find(read_card(folder), choice)
            if known is not None:
                return known.pin(choice)
        return choice

    async def open(
        self, folder: Path, choice: BackendChoice, limits: Limits, *, apart: bool
    ) -> DescribedModel:
        """The model of a folder, opened and tested; raises ArtifactError's leaves.

        apart: in a process that ends then; else in that of the nursery, which keeps it.
        """
        work = OpenWork(next(self._numbers), KeptFolder(folder), choice, limits)
        if apart:
            opened = await run_apart(self._fork, work, limit_s=self._load_s)
        else:
            opened = await self.nursery.open(work, self.models.values())
        self.models[work.number] = work.settled(opened)
        return DescribedModel(work, opened)

    async def find_faster(self, model: Model) -> bool:
        """Whether another file of a model is faster here than the one that serves; times them if need be.

        Then the model has to be opened again. Raises ArtifactError's leaves.
        """
        if not isinstance(model, DescribedModel) or self._fastest.find(model.card, model.choice):
            return False
        timed = await run_apart(self._fork, TimeWork(model.folder, model.choice), limit_s=self._load_s)
        if not timed:
            return False
        fastest = self._fastest.note(model.card, model.choice, timed)
        serving = model.backend.describe()
        return (fastest.runtime, fastest.precision) != (PACKAGES[serving.runtime], serving.precision)


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
                    await run_in_time(self.child, each, self._load_s)
            return await run_in_time(self.child, work, self._load_s)

    async def take(self, owner: Owner) -> Child | None:
        """The process, which has another owner from now on; None where there is none."""
        async with self._lock:
            child, self.child = self.child, None
        if child is None or child.gone:
            return None
        child.owner = owner
        return child


async def run_apart(fork: Fork, work: Work[T], *, limit_s: float) -> T:
    """The result of a work on a model in a process that ends then; raises ArtifactError's leaves."""
    child = await fork(Bystander())
    try:
        return await run_in_time(child, work, limit_s)
    finally:
        child.kill()


async def run_in_time(child: Child, work: Work[T], limit_s: float) -> T:
    """The result of a work on a model; raises ArtifactError's leaves, also for a hang or a crash."""
    try:
        async with asyncio.timeout(limit_s):
            return await call(child, work)
    except TimeoutError:
        child.kill()
        raise BackendUnavailable(f"not opened and tested within {limit_s:g} s") from None
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
