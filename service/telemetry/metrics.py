"""What Prometheus may scrape: requests, stages, queue, rejections, models.

Several workers write their numbers into files of one folder, where whichever is scraped adds them up; what a
worker that is gone has counted stays counted. prometheus_client decides at its import whether it does so.
"""

import collections
import platform
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from service import __version__
from service.errors import Forbidden, ImageTooLarge, Unauthorized, Unavailable, UnsupportedMedia
from service.telemetry.logs import count_dropped_lines
from service.types import STAGES, BackendInfo, Segmentation, Timings

Transport: TypeAlias = Literal["rest", "grpc"]
Labels: TypeAlias = tuple[str, ...]
Instrument: TypeAlias = Counter | Histogram

PREFIX = "blitzmask_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
UNAVAILABLE = {error.__name__ for error in Unavailable.__subclasses__()}
REJECTIONS = UNAVAILABLE | {
    error.__name__ for error in (Unauthorized, Forbidden, ImageTooLarge, UnsupportedMedia)
}
NOTES = 1000  # at most, before they are counted
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
MODEL = ("model", "version", "runtime", "runtime_version", "precision", "asked", "in_effect")

COUNTERS: Mapping[str, tuple[str, Labels]] = MappingProxyType(
    {
        "requests": (
            "Requests (and frames of streams) by how they ended: ok, or the error's name.",
            ("transport", "method", "outcome"),
        ),
        "key_requests": (
            "Requests and frames by the name of the key that was shown, and how they ended.",
            ("key", "outcome"),
        ),
        "rejected": (
            "Refused before anything was computed, for load, keys, size, type or pace, by reason.",
            ("reason",),
        ),
        "instances": ("Instances found.", ("model", "label")),
        "frames_dropped": (
            "Frames of streams that were not answered because a newer one took their place.",
            ("transport",),
        ),
    }
)
HISTOGRAMS: Mapping[str, tuple[str, Labels]] = MappingProxyType(
    {
        "request_seconds": (
            "From a request's first byte to the end of its answer.",
            ("transport", "method"),
        ),
        "stage_seconds": (
            "Time spent in each stage of a segmentation; queue is the wait for a slot, render the writing of "
            "a single image's answer.",
            ("stage", "model"),
        ),
    }
)


class Metrics:
    """The instruments of one server, in a registry of their own; `folder` is where workers meet."""

    def __init__(self, folder: Path | None = None) -> None:
        self.registry = registry = CollectorRegistry()
        self._folder = folder
        self._watched: list[tuple[Gauge, Callable[[], float]]] = []
        self._served: list[Gauge] = []
        self._counters = {
            name: Counter(PREFIX + name, text, labels, registry=registry)
            for name, (text, labels) in COUNTERS.items()
        }
        self._histograms = {
            name: Histogram(PREFIX + name, text, labels, buckets=BUCKETS, registry=registry)
            for name, (text, labels) in HISTOGRAMS.items()
        }
        # Noted now, counted together: one by one, among inferences that take the caches, it would cost
        # several times as much. A worker counts at once: what it has counted stays when it is killed.
        self._patience = NOTES if folder is None else 1
        self._notes: list[tuple[Instrument, Labels, float]] = []
        self._adders: dict[tuple[Instrument, Labels], Callable[[float], None]] = {}
        self._describe_process()
        text = "Log lines that were lost because nobody read them."
        self.watch(PREFIX + "log_lines_dropped", text, count_dropped_lines)

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when it is scraped; those of several workers are added."""
        gauge = Gauge(name, text, registry=self.registry, multiprocess_mode="livesum")
        self._watched.append((gauge, read))

    def settle(self) -> None:
        """Count what has been noted."""
        notes, self._notes = self._notes, []
        for instrument, labels, value in notes:
            add = self._adders.get((instrument, labels))
            if add is None:
                child = instrument.labels(*labels)
                add = child.inc if isinstance(child, Counter) else child.observe
                self._adders[instrument, labels] = add
            add(value)

    def refresh(self) -> None:
        """Count what has been noted and read what is watched, for whoever is scraped next."""
        self.settle()
        for gauge, read in self._watched:
            gauge.set(read())

    def request(self, transport: Transport, method: str, *, outcome: str, seconds: float) -> None:
        """Count one answered request or frame; `outcome` is "ok" or the error's name."""
        self._count("requests", transport, method, outcome)
        self._observe(seconds, "request_seconds", transport, method)

    def rejected(self, reason: str) -> None:
        """Count a request that was refused before anything was computed."""
        self._count("rejected", reason)

    def called(self, key: str, *, outcome: str) -> None:
        """Count one request of the key of this name."""
        self._count("key_requests", key, outcome)

    def answered(
        self, segmentation: Segmentation, *, queue_ms: float, render_ms: float | None = None
    ) -> None:
        """Record the stages and the finds of one segmentation; render_ms: what its answer took to write."""
        model = segmentation.model
        self.stages(model, segmentation.timings, queue_ms=queue_ms, render_ms=render_ms)
        found = collections.Counter(instance.label for instance in segmentation.instances)
        for label, count in found.items():
            self._count("instances", model, label, by=count)

    def stages(
        self, model: str, timings: Timings, *, queue_ms: float, render_ms: float | None = None
    ) -> None:
        """Record where the time of one answer went."""
        self._observe(queue_ms / 1000, "stage_seconds", "queue", model)
        for stage in STAGES:
            self._observe(getattr(timings, stage) / 1000, "stage_seconds", stage, model)
        if render_ms is not None:
            self._observe(render_ms / 1000, "stage_seconds", "render", model)

    def dropped(self, transport: Transport, count: int) -> None:
        """Count frames that were not answered."""
        self._count("frames_dropped", transport, by=count)

    def serving(self, models: Iterable[tuple[str, str, BackendInfo]]) -> None:
        """Name the models that answer from now on, their versions, and what computes them."""
        for gauge in self._served:
            gauge.set(0)
        self._served = [self._models.labels(*_name_model(*model)) for model in models]
        for gauge in self._served:
            gauge.set(1)

    def refused(self, count: int) -> None:
        """How many folders of models do not serve."""
        self._refused.set(count)

    def ready(self, *, now: bool) -> None:
        """Whether the service is ready."""
        self._ready.set(now)

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        self.refresh()
        registry = self.registry
        if self._folder is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]  # theirs
        return generate_latest(registry)

    def _describe_process(self) -> None:
        registry = self.registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._models = Gauge(
            "blitzmask_model_info",
            "1 for every model that serves, with the backend in effect; 0 for one that did.",
            MODEL,
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._refused = _gauge(registry, "models_refused", "Folders of models that do not serve.", "livemax")
        self._ready = _gauge(registry, "ready", "1 while the service is ready.", "livemin")
        build = Gauge(
            "blitzmask_build_info",
            "1, with the version of the service.",
            ("version", "python"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        build.labels(__version__, platform.python_version()).set(1)

    def _count(self, name: str, *labels: str, by: float = 1) -> None:
        self._note(self._counters[name], labels, by)

    def _observe(self, seconds: float, name: str, *labels: str) -> None:
        self._note(self._histograms[name], labels, seconds)

    def _note(self, instrument: Instrument, labels: Labels, value: float) -> None:
        self._notes.append((instrument, labels, value))
        if len(self._notes) >= self._patience:
            self.settle()


def _gauge(
    registry: CollectorRegistry, name: str, text: str, together: Literal["livemax", "livemin"]
) -> Gauge:
    """A gauge, and how those of several workers are put together."""
    return Gauge(PREFIX + name, text, registry=registry, multiprocess_mode=together)


def _name_model(name: str, version: str, backend: BackendInfo) -> Labels:
    """The labels of a model's gauge."""
    asked, in_effect = ",".join(backend.asked), ",".join(backend.in_effect)
    return name, version, backend.runtime, backend.runtime_version, backend.precision, asked, in_effect
