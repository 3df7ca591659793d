"""The run of a job: pictures are read ahead, computed in all slots, and noted in the order of the input."""

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import TypeAlias

import structlog

from service import __version__
from service.batch.journal import Journal, render_failure, render_row
from service.batch.outputs import Output, write_results
from service.batch.progress import Progress
from service.batch.sources import Item, Source
from service.compute.child import Bounds
from service.compute.processes import ProcessExecutor
from service.compute.template import ForkPlan
from service.errors import InvalidImage, InvalidOption, NotReady
from service.frames import Rendered
from service.inference.model import Model
from service.inference.resolved_options import resolve_options
from service.process.start import load_catalog
from service.serving.admission import Admission
from service.serving.engine import Models
from service.serving.streaming import Picture
from service.serving.work import FrameWork
from service.settings import Settings
from service.types import Options, Segmentation

READERS = 8  # files that are read at the same time: an object store takes longer than a disk
AHEAD = 4  # pictures for each slot that are computed or wait, so that a slow one does not hold up the others

log = structlog.get_logger("service.batch")

Loaded: TypeAlias = tuple[Item, Picture]


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """A job: its input and output, the options of every picture, and the model; None: the default one."""

    source: Source
    output: Output
    options: Options
    model: str | None = None
    version: str | None = None


async def run_batch(plan: BatchPlan, settings: Settings, progress: Progress) -> int:
    """Computes what is left of the job, and writes its output; gives the number of bad files.

    Raises InvalidOption, ModelNotFound, ArtifactError's leaves, and OSError where a store has a fault. The
    same plan goes on where this one stopped.
    """
    async with open_slots(settings) as (admission, models):
        model = models.get(plan.model, plan.version)
        resolve_options(model.card, plan.options)
        with Journal(plan.output.journal, describe_plan(plan, model)) as journal:
            progress.start(await asyncio.to_thread(plan.source.count), journal.done, journal.failures)
            with progress:
                items = journal.skip_done(plan.source.items())
                slots = Slots(admission, model, plan.options)
                async for line in slots.compute_all(items):
                    journal.add(line)
                    progress.advance(failures=journal.failures)
            check_found(plan.source, journal.done)
            await asyncio.to_thread(write_results, plan.output, journal, model.card)
            journal.remove()
            return journal.failures


def check_found(source: Source, found: int) -> None:
    """Warns where pictures of the data set are missing; raises InvalidOption where there is no picture."""
    if not found:
        raise InvalidOption(f"{source.place} holds no picture")
    if source.ids is not None and found < len(source.ids):
        log.warning("the input lacks pictures of the data set", found=found, listed=len(source.ids))


def describe_plan(plan: BatchPlan, model: Model) -> dict[str, object]:
    """Everything that decides the output, as the journal's first line."""
    backend = model.backend.describe()
    return {
        "blitzmask": __version__,
        "input": plan.source.place,
        "model": f"{model.card.name} {model.card.version}",
        "backend": f"{backend.runtime} {backend.precision}",
        "options": asdict(plan.options),
        "ids": None if plan.source.ids is None else len(plan.source.ids),
    }


@asynccontextmanager
async def open_slots(settings: Settings) -> AsyncIterator[tuple[Admission, Models]]:
    """The slots of the settings, with the models opened in them; raises ArtifactError's leaves."""
    processes = _make_processes(settings) if settings.in_processes else None
    admission = Admission(settings.slots, sys.maxsize, executor=processes)
    try:
        if processes is None:
            yield admission, await asyncio.to_thread(load_catalog, settings)
        else:
            processes.start()
            models = await asyncio.to_thread(load_catalog, settings, processes.open_model)
            await processes.begin()
            yield admission, models
    finally:
        admission.close()


def _make_processes(settings: Settings) -> ProcessExecutor:
    """The slots as processes. The card decides which file they open, so that every run opens the same one."""
    plan = ForkPlan(settings.memory_mb, settings.log_level, settings.log_format)
    return ProcessExecutor(settings.slots, plan, Bounds(settings.work_s, settings.load_s, settings.memory_mb))


def make_work(model: Model, item: Item, picture: Picture, options: Options) -> FrameWork:
    """The work that gives the journal's line, so that the front has nothing left to do but to write it."""
    render = partial(render_row, item.name, item.image_id)
    return FrameWork(model, picture, options, time.monotonic(), render)


def read_line(done: Segmentation | Rendered) -> bytes:
    """The line in the result of `make_work`."""
    assert isinstance(done, Rendered)
    return done.content


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots, the model in them, and the options of every picture."""

    admission: Admission
    model: Model
    options: Options

    async def compute_all(self, items: Iterator[Item]) -> AsyncIterator[bytes]:
        """The journal's line of every picture, in their order.

        Raises what `items` raises, InvalidOption and NotReady, and OSError where a store has a fault.
        """
        pending: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue(AHEAD * self.admission.slots)
        beginning = asyncio.create_task(self._begin_all(items, pending))
        try:
            while (computing := await pending.get()) is not None:
                yield await computing
            await beginning  # raises what has ended it
        finally:
            beginning.cancel()
            while not pending.empty():
                if (computing := pending.get_nowait()) is not None:
                    computing.cancel()

    async def _begin_all(
        self, items: Iterator[Item], pending: asyncio.Queue[asyncio.Task[bytes] | None]
    ) -> None:
        """Begin a task for every picture as soon as there is room; None follows the last one."""
        try:
            async with aclosing(read_ahead(items)) as groups:
                async for group in groups:
                    for item, picture in group:
                        await pending.put(asyncio.create_task(self.compute(item, picture)))
        finally:
            await pending.put(None)

    async def compute(self, item: Item, picture: Picture) -> bytes:
        """The journal's line of one picture, which says why where nobody can compute it.

        Raises InvalidOption and NotReady, because they would come for every other picture, too.
        """
        try:
            return read_line(await self.admission.run(make_work(self.model, item, picture, self.options)))
        except (InvalidOption, NotReady):
            raise
        except Exception as error:
            return render_failure(item.name, error)


async def read_ahead(items: Iterator[Item]) -> AsyncGenerator[list[Loaded], None]:
    """The pictures in groups of READERS; the next group is read while one is computed.

    Raises what `items` raises, and OSError where a store has a fault.
    """
    with ThreadPoolExecutor(READERS) as readers:
        reading = asyncio.create_task(asyncio.to_thread(_read_some, items, readers))
        try:
            while group := await reading:
                reading = asyncio.create_task(asyncio.to_thread(_read_some, items, readers))
                yield group
        finally:
            await asyncio.wait([reading])


def _read_some(items: Iterator[Item], readers: ThreadPoolExecutor) -> list[Loaded]:
    return list(readers.map(_load, itertools.islice(items, READERS)))


def _load(item: Item) -> Loaded:
    try:
        return item, item.load()
    except InvalidImage as error:
        return item, error
