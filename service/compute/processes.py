"""Slots that are processes: each computes one task at a time, and is replaced when it ends or misbehaves."""

import asyncio
import hashlib
import pickle
import weakref
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import structlog

from service.compute.child import Bounds, Child, Owner, Template
from service.compute.launch import Launched
from service.compute.loading import Loader, call, make_task
from service.compute.models import CloseWork, DescribedModel
from service.compute.task import Listener, Pictured, Task, Work, count_behind
from service.compute.template import ForkPlan
from service.compute.timing import FastestFiles
from service.errors import ComputeFailed, InvalidImage
from service.inference.backends.base import BackendChoice
from service.inference.images import Limits

T = TypeVar("T")

DEPTH = 2  # tasks of a slot: one runs, one is there when that is done
LOOK_S = 0.25  # between two looks at the processes
PAUSE_S = 0.5  # before another try, where a process ended before it could work
MOST_DEATHS = 2  # compute processes that one task may end
REMEMBERED = 256  # pictures that ended compute processes, by their hashes

log = structlog.get_logger("service.compute")


@dataclass(slots=True, eq=False)
class Slot:
    """A place for one compute process, which can work once it is `up`; `opened`: the models that it has."""

    index: int
    child: Child | None = None
    up: bool = False
    opened: set[int] = field(default_factory=set)

    @property
    def tasks(self) -> deque[Task[Any]]:
        return deque() if self.child is None else self.child.tasks

    @property
    def rank(self) -> tuple[int, float]:
        """The slot of the lowest rank takes the next task: an idle one, else the one that began first."""
        return (len(self.tasks), self.index if self.child is None or not self.tasks else self.child.began)


class ProcessExecutor:
    """Runs tasks in `count` compute processes; the first has a session on all cores, for lone requests."""

    def __init__(
        self, count: int, plan: ForkPlan, bounds: Bounds, fastest: FastestFiles | None = None
    ) -> None:
        """`fastest` says which file of a card is opened where the choice leaves that open."""
        self.deaths = 0
        self._slots = [Slot(index) for index in range(count)]
        self._plan = plan
        self._bounds = bounds
        self._poison: deque[str] = deque(maxlen=REMEMBERED)
        self._chores: set[asyncio.Task[None]] = set()
        self._closing = False
        self._up = asyncio.Event()
        self._loader = Loader(self._fork, fastest or FastestFiles(None), load_s=bounds.load_s)
        self.find_faster = self._loader.find_faster
        self._loop: asyncio.AbstractEventLoop
        self._template: Template
        self._listener: Listener

    @property
    def busy(self) -> int:
        return sum(1 for slot in self._slots if slot.tasks)

    @property
    def ahead(self) -> tuple[int, int]:
        return count_behind(slot.tasks for slot in self._slots)

    def listen(self, listener: Listener) -> None:
        self._listener = listener

    def has_room(self, *, ahead: bool) -> bool:
        depth = DEPTH if ahead else 1
        return any(slot.up and len(slot.tasks) < depth for slot in self._slots)

    def take(self, task: Task[Any]) -> None:
        slot = min((slot for slot in self._slots if slot.up), key=lambda slot: slot.rank)
        try:
            self._refuse_poison(task)
        except Exception as error:
            task.fail(error)
            return
        assert slot.child is not None
        slot.child.send(task, crowded=slot.index > 0 or self.busy > 0)

    def start(self, launched: Launched | None = None) -> None:
        """Start the template in the running loop, unless that is done; `launched` is one that has begun."""
        if not self._chores:
            self._loop = asyncio.get_running_loop()
            self._template = Template(self._plan, self._note_end, launched)
            self._do(self._watch())

    async def begin(self) -> None:
        """Start a compute process for every slot; returns when the first can work, and the others follow."""
        if not self._up.is_set():
            for slot in self._slots:
                self._do(self._fill(slot))
            await self._up.wait()

    def open_model(self, folder: Path, choice: BackendChoice, limits: Limits) -> DescribedModel:
        """Open and test a model in a process without a slot, then open it in every slot; for other threads.

        Raises ArtifactError's leaves; BackendUnavailable where that process ends, or takes too long.
        """
        choice = self._loader.settle(folder, replace(choice, slots=1))
        opening = self._open(folder, choice, limits)
        model = asyncio.run_coroutine_threadsafe(opening, self._loop).result()
        weakref.finalize(model, self._forget_later, model.number)
        return model

    def close(self) -> None:
        if self._closing or not self._chores:
            return
        self._closing = True
        for chore in self._chores:
            chore.cancel()
        for slot in self._slots:
            if slot.child is not None:
                slot.child.kill()
        if self._loader.nursery.child is not None:
            self._loader.nursery.child.kill()
        self._template.close()

    def done(self, child: Child, seconds: float) -> None:
        """Called by a child that has room for another task."""
        self._listener.finished(seconds)

    def lost(self, child: Child, tasks: list[Task[Any]]) -> None:
        """Called for a child that has ended: its tasks begin again, and a new one fills its slot."""
        if self._closing:
            return
        self.deaths += 1
        ended_alone = child.template.alive  # else it went with the template, and no task is to blame
        if tasks and tasks[0].begun and tasks[0].retries and ended_alone:
            self._blame(tasks[0])
        for slot in self._slots:
            if slot.child is child and slot.up:
                slot.up = False
                self._do(self._fill(slot))
        for task in reversed(tasks):
            self._return(task)
        self._listener.roomier()

    def _return(self, task: Task[Any]) -> None:
        task.begun = False
        if task.retries:
            self._listener.returned(task)
        else:
            task.fail(ConnectionError("the compute process has ended"))

    def _blame(self, task: Task[Any]) -> None:
        """Count a death for the task; refuse the task, now and later, after the second one."""
        task.deaths += 1
        digest = _take_digest(task.work)
        log.error("compute process ended during a request", sha256=digest, deaths=task.deaths)
        if task.deaths >= MOST_DEATHS:
            self._poison.append(digest)
            task.fail(ComputeFailed(f"{MOST_DEATHS} processes ended while they computed this request"))

    def _refuse_poison(self, task: Task[Any]) -> None:
        if self._poison and _take_digest(task.work) in self._poison:
            raise InvalidImage(f"this picture ended {MOST_DEATHS} processes before: it is not computed again")

    async def _fill(self, slot: Slot) -> None:
        """Give the slot a process that has opened all models."""
        while not slot.up:
            with suppress(ConnectionError):
                child = slot.child = await self._find_child(slot)
                await self._open_missing(slot)
                slot.up = not child.gone
            if not slot.up:
                await asyncio.sleep(PAUSE_S)
        self._up.set()
        self._listener.roomier()

    async def _find_child(self, slot: Slot) -> Child:
        child = await self._loader.nursery.take(self) if slot.index == 0 else None
        slot.opened = set() if child is None else set(self._loader.models)
        return child or await self._fork(self)

    async def _fork(self, owner: Owner) -> Child:
        """A new process; raises ConnectionError where a new template could not give one either."""
        with suppress(ConnectionError):
            return await self._live_template().fork(owner)
        return await self._live_template().fork(owner)

    def _live_template(self) -> Template:
        if not self._template.alive:
            log.error("template of compute processes ended", exit_status=self._template.process.returncode)
            self._template.close()
            self._template = Template(self._plan, self._note_end)
        return self._template

    async def _open_missing(self, slot: Slot) -> None:
        while missing := [each for number, each in self._loader.models.items() if number not in slot.opened]:
            opening = missing[0]
            slot.opened.add(opening.number)
            assert slot.child is not None
            try:
                work = opening if slot.index == 0 else opening.narrowed()
                await call(slot.child, work)
            except ConnectionError:
                raise
            except Exception as error:
                log.error("model not opened again", folder=opening.folder.path.name, reason=str(error))

    async def _open(self, folder: Path, choice: BackendChoice, limits: Limits) -> DescribedModel:
        model = await self._loader.open(folder, choice, limits, apart=self._up.is_set())
        await asyncio.gather(*(self._open_in(slot) for slot in self._slots if slot.up))
        return model

    async def _open_in(self, slot: Slot) -> None:
        with suppress(ConnectionError):  # the process that follows opens it
            await self._open_missing(slot)

    def _forget_later(self, number: int) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._forget, number)

    def _forget(self, number: int) -> None:
        """Free a model that nobody holds any more."""
        self._loader.models.pop(number, None)
        children = [self._loader.nursery.child, *(slot.child for slot in self._slots if slot.up)]
        for child in children:
            if child is not None:
                closing = make_task(CloseWork(number))
                closing.future.add_done_callback(asyncio.Future.exception)  # nobody waits for it
                child.send(closing, crowded=True)

    async def _watch(self) -> None:
        """Kill processes that are stuck, stopped or too large; they are replaced like those that crash."""
        while True:
            await asyncio.sleep(LOOK_S)
            self._template.wake()
            for slot in self._slots:
                if slot.child is not None and (fault := slot.child.find_fault(self._bounds)):
                    log.error("compute process killed", slot=slot.index, pid=slot.child.pid, reason=fault)
                    slot.child.kill()

    def _note_end(self, pid: int, status: int) -> None:
        log.info("compute process ended", pid=pid, exit_status=status)

    def _do(self, chore: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(chore)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)


def _take_digest(work: Work[Any]) -> str:
    """The SHA-256 of the picture of a work, or of all of it."""
    content = work.image if isinstance(work, Pictured) else pickle.dumps(work)
    return hashlib.sha256(content).hexdigest()
