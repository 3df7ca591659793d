"""The engine that both transports hold: it finds the model of a call and runs it through admission."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from service.compute.models import release_memory
from service.errors import NotReady, Overloaded
from service.inference.model import Model
from service.inference.resolved_options import resolve_options
from service.serving.admission import Admission
from service.serving.statistics import Statistics
from service.serving.streaming import (
    Frame,
    StreamOptions,
    StreamSession,
)
from service.serving.tiles import segment_tiles
from service.serving.tracking import plan_tracking, widen_options
from service.serving.work import FrameWork, SegmentWork
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import PROPAGATING, Tracer
from service.types import Answer, Options, Summary

__all__ = ["Call", "Engine", "Model", "Models"]

T = TypeVar("T")


class Models(Protocol):
    """The part of a `Catalog` that the transports use."""

    @property
    def failures(self) -> Mapping[str, str]: ...
    @property
    def unloaded(self) -> tuple[str, ...]: ...
    def get(self, name: str | None = None, version: str | None = None) -> Model: ...
    def models(self) -> tuple[Model, ...]: ...
    def refreshed(self) -> "Models": ...
    def with_model(self, name: str) -> "Models": ...
    def without_model(self, name: str, version: str | None = None) -> "Models": ...
    def check(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Call:
    """One image and what is asked of it; the deadline is a time of the loop's clock.

    unpack: takes the image out of `image` where that is a whole body; a function that can travel.
    """

    image: bytes
    options: Options = field(default_factory=Options)
    model: str | None = None
    version: str | None = None
    deadline: float | None = None
    unpack: Callable[[bytes], bytes] | None = None


class Engine:
    """Answers calls from one event loop; not ready until it is given a catalog."""

    def __init__(
        self,
        admission: Admission,
        metrics: Metrics,
        *,
        timeout_s: float,
        max_streams: int = 64,
        exact: bool = False,
        tracer: Tracer = PROPAGATING,
    ) -> None:
        """`exact` is what holds for callers who do not say."""
        self.admission = admission
        self.metrics = metrics
        self.tracer = tracer
        self.statistics = Statistics()
        self.timeout_s = timeout_s
        self.max_streams = max_streams
        self.exact = exact
        self.streams = 0
        self.stopping = asyncio.Event()
        self.leaving = False
        self._catalog: Models | None = None
        self._changing = asyncio.Lock()
        self._reasons: tuple[str, ...] = ("models are loading",)
        metrics.watch("blitzmask_slots", "Worker slots.", lambda: admission.slots)
        metrics.watch("blitzmask_slots_busy", "Worker slots at work.", lambda: admission.running)
        metrics.watch("blitzmask_queue_length", "Requests waiting for a slot.", lambda: admission.waiting)
        metrics.watch("blitzmask_queue_limit", "Requests that may wait.", lambda: admission.queue_limit)
        text = "Requests refused since the start because the queue was full, or too slow."
        metrics.watch("blitzmask_queue_refused", text, lambda: admission.refused)
        metrics.watch("blitzmask_streams", "Open streams.", lambda: self.streams)
        metrics.watch("blitzmask_streams_limit", "Streams that may be open.", lambda: self.max_streams)

    def use(self, catalog: Models) -> None:
        """Answer with these models from now on."""
        self._catalog = catalog
        self._reasons = ("the service is stopping",) if self.stopping.is_set() else ()
        self.metrics.serving(
            (model.card.name, model.card.version, model.backend.describe()) for model in catalog.models()
        )
        self.metrics.refused(len(catalog.failures))
        self.metrics.ready(now=self.ready)

    async def change(self, change: Callable[[Models], Models]) -> Models:
        """Answer with what `change` makes of the catalog, in a thread and one change after the other.

        What is at work with a model finishes with it. Raises NotReady, and whatever `change` raises.
        """
        async with self._changing:
            before = self.catalog
            catalog = await asyncio.to_thread(change, before)
            if catalog is not before:
                self.use(catalog)
                del before  # nobody else may hold its models
                await asyncio.to_thread(release_memory)
            return catalog

    def fail(self, reason: str) -> None:
        """Stay not ready, and say why."""
        self._reasons = (reason,)

    def stop(self) -> None:
        """Become not ready. Requests that still arrive are answered until the ports are closed."""
        self._reasons = ("the service is stopping",)
        self.stopping.set()
        self.metrics.ready(now=False)

    def leave(self) -> None:
        """Send callers away with their answers: the ports are about to be closed."""
        self.leaving = True

    @property
    def ready(self) -> bool:
        return not self._reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons why the service is not ready; empty when it is."""
        return self._reasons

    @property
    def catalog(self) -> Models:
        """The models that serve; raises NotReady before there are any."""
        if self._catalog is None:
            raise NotReady("; ".join(self._reasons))
        return self._catalog

    def deadline(self, timeout_s: float | None) -> float:
        """The loop's time by which work must have begun: the caller's patience, at most the setting's."""
        patience = self.timeout_s if timeout_s is None else min(timeout_s, self.timeout_s)
        return asyncio.get_running_loop().time() + patience

    def check(self, model: str | None, version: str | None) -> Model:
        """The model that will answer; refuses what cannot succeed before a body is read.

        Raises NotReady, ModelNotFound, Overloaded.
        """
        found = self.catalog.get(model, version)
        self.admission.check()
        return found

    async def segment(self, call: Call, render: Callable[[Answer], T]) -> tuple[Summary, T]:
        """The summary of the answer for one image, and what `render` makes of the answer in a worker slot.

        Raises BlitzError's leaves.
        """
        model = self.catalog.get(call.model, call.version)
        options = self._complete(call.options)
        work = SegmentWork(model, call.image, options, render, call.unpack)
        if options.tiles is None:
            found, rendered = await self.admission.run(work, deadline=call.deadline)
        else:
            found, rendered = await segment_tiles(self.admission, work, deadline=call.deadline)
        self.metrics.answered(found)
        return found, rendered

    @contextmanager
    def open_stream(
        self,
        asked: StreamOptions,
        model: str | None,
        version: str | None,
        render: Callable[[Answer], bytes] | None = None,
    ) -> Iterator[StreamSession]:
        """A session for one stream; every frame goes to the model that the catalog names by then.

        render: a module-level function that writes the answers where they are computed. The answers of a
        stream that tracks come as they are, since they get their identities here.

        Raises NotReady, ModelNotFound, InvalidOption, and Overloaded where too many streams are open.
        """
        threshold = resolve_options(self.catalog.get(model, version).card, asked.segment).threshold
        tracking = plan_tracking(asked, threshold)
        options = widen_options(self._complete(asked.segment), tracking, threshold)

        def plan(frame: Frame) -> FrameWork:
            found, writes = self.catalog.get(model, version), None if tracking else render
            return FrameWork(found, frame.picture, options, frame.arrived, writes)

        with self.count_stream():
            yield StreamSession(plan, self.admission, options=asked, tracking=tracking, threshold=threshold)

    @contextmanager
    def count_stream(self) -> Iterator[None]:
        """One of the streams that may be open; raises Overloaded where they are too many."""
        if self.streams >= self.max_streams:
            raise Overloaded(
                f"all {self.max_streams} streams are taken; come back when another one has ended"
            )
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    def _complete(self, options: Options) -> Options:
        return options if options.exact is not None else replace(options, exact=self.exact)
