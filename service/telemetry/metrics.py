"""The metrics that Prometheus scrapes: requests, stages, queue, rejections, models.

With several workers, the one that is scraped answers with the totals of all: see `shared_metrics`.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service import __version__
from service.errors import Forbidden, ImageTooLarge, Unauthorized, Unavailable, UnsupportedMedia
from service.telemetry.logs import count_dropped_lines
from service.telemetry.shared_metrics import Family, Together, WorkerPlace, combine
from service.types import STAGES, BackendInfo, Summary, Timings

Transport: TypeAlias = Literal["rest", "grpc"]
Labels: TypeAlias = tuple[str, ...]
Instrument: TypeAlias = Counter | Histogram

PREFIX = "blitzmask_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
UNAVAILABLE = {error.__name__ for error in Unavailable.__subclasses__()}
REJECTIONS = UNAVAILABLE | {
    error.__name__ for error in (Unauthorized, Forbidden, ImageTooLarge, UnsupportedMedia)
}
MOST_NOTES = 1000  # before they are counted
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
    """The instruments of one server, in a registry of their own; `place` is a worker's among several."""

    def __init__(self, place: WorkerPlace | None = None) -> None:
        self.registry = registry = CollectorRegistry()
        self._place = place
        self._inherited = place.read() if place else ()  # from a worker that was here before
        self._together: dict[str, Together] = {}
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
        # Values are noted now and counted together later. Counted one by one, between inferences that evict
        # the caches, they would cost several times as much.
        self._notes: list[tuple[Instrument, Labels, float]] = []
        self._adders: dict[tuple[Instrument, Labels], Callable[[float], None]] = {}
        self._describe_process()
        text = "Log lines that were lost because nobody read them."
        self.watch(PREFIX + "log_lines_dropped", text, count_dropped_lines)

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read at each scrape; those of several workers are added up."""
        self._watched.append((self._add_gauge(name, text, together="sum"), read))

    def settle(self) -> None:
        """Count the values that were noted."""
        notes, self._notes = self._notes, []
        for instrument, labels, value in notes:
            add = self._adders.get((instrument, labels))
            if add is None:
                child = instrument.labels(*labels)
                add = child.inc if isinstance(child, Counter) else child.observe
                self._adders[instrument, labels] = add
            add(value)

    def refresh(self) -> None:
        """Count the values that were noted, read the watched ones, and publish them to the other workers."""
        self.settle()
        for gauge, read in self._watched:
            gauge.set(read())
        if self._place is not None:
            self._place.publish(combine([self._inherited, self._describe_families()]))

    def request(self, transport: Transport, method: str, *, outcome: str, seconds: float) -> None:
        """Count one answered request or frame; `outcome` is "ok" or the error's name."""
        self._count("requests", transport, method, outcome)
        self._observe(seconds, "request_seconds", transport, method)

    def rejected(self, reason: str) -> None:
        """Count a request that was refused before anything was computed."""
        self._count("rejected", reason)

    def called(self, key: str, *, outcome: str) -> None:
        """Count one request with the key of this name."""
        self._count("key_requests", key, outcome)

    def answered(self, found: Summary, *, rendered: bool = True) -> None:
        """Record the stages and instances of one answer; `rendered`: the time to write it is known."""
        render_ms = found.render_ms if rendered else None
        self.stages(found.model, found.timings, queue_ms=found.queue_ms, render_ms=render_ms)
        for label, count in found.labels.items():
            self._count("instances", found.model, label, by=count)

    def stages(
        self, model: str, timings: Timings, *, queue_ms: float, render_ms: float | None = None
    ) -> None:
        """Record the time of each stage of one answer."""
        self._observe(queue_ms / 1000, "stage_seconds", "queue", model)
        for stage in STAGES:
            self._observe(getattr(timings, stage) / 1000, "stage_seconds", stage, model)
        if render_ms is not None:
            self._observe(render_ms / 1000, "stage_seconds", "render", model)

    def dropped(self, transport: Transport, count: int) -> None:
        """Count frames that were not answered."""
        self._count("frames_dropped", transport, by=count)

    def serving(self, models: Iterable[tuple[str, str, BackendInfo]]) -> None:
        """Set the models that answer from now on: names, versions, and backends."""
        for gauge in self._served:
            gauge.set(0)
        self._served = [self._models.labels(*_name_model(*model)) for model in models]
        for gauge in self._served:
            gauge.set(1)

    def refused(self, count: int) -> None:
        """Set the number of model folders that do not serve."""
        self._refused.set(count)

    def ready(self, *, now: bool) -> None:
        """Say whether the service is ready."""
        self._ready.set(now)

    def exposition(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        self.refresh()
        if self._place is None:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        registry.register(_Combined(self._place.read_all()))
        return generate_latest(registry)

    def _add_gauge(self, name: str, text: str, labels: Labels = (), *, together: Together) -> Gauge:
        """A gauge, and how those of several workers are combined."""
        self._together[name] = together
        return Gauge(name, text, labels, registry=self.registry)

    def _describe_families(self) -> list[Family]:
        """The numbers of this worker, without those that Prometheus' client adds about its process."""
        return [
            Family(
                metric.name,
                metric.documentation,
                metric.type,
                self._together.get(metric.name, "sum"),
                lasting=metric.name not in self._together,
                samples={
                    (sample.name, tuple(sample.labels.items())): sample.value
                    for sample in metric.samples
                    if not sample.name.endswith("_created")
                },
            )
            for metric in self.registry.collect()
            if metric.name.startswith(PREFIX)
        ]

    def _describe_process(self) -> None:
        registry = self.registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        text = "1 for every model that serves, with the backend in effect; 0 for one that did."
        self._models = self._add_gauge(PREFIX + "model_info", text, MODEL, together="max")
        text = "Folders of models that do not serve."
        self._refused = self._add_gauge(PREFIX + "models_refused", text, together="max")
        text = "1 while the service is ready."
        self._ready = self._add_gauge(PREFIX + "ready", text, together="min")
        text = "1, with the version of the service."
        build = self._add_gauge(PREFIX + "build_info", text, ("version", "python"), together="max")
        build.labels(__version__, platform.python_version()).set(1)

    def _count(self, name: str, *labels: str, by: float = 1) -> None:
        self._note(self._counters[name], labels, by)

    def _observe(self, seconds: float, name: str, *labels: str) -> None:
        self._note(self._histograms[name], labels, seconds)

    def _note(self, instrument: Instrument, labels: Labels, value: float) -> None:
        self._notes.append((instrument, labels, value))
        if len(self._notes) >= MOST_NOTES:
            self.settle()


class _Combined(Collector):
    """The families of all workers, for prometheus_client to write."""

    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            metric = Metric(family.name, family.text, family.kind)
            for (name, labels), value in family.samples.items():
                metric.add_sample(name, dict(labels), value)
            yield metric


def _name_model(name: str, version: str, backend: BackendInfo) -> Labels:
    """The labels of a model's gauge."""
    asked, in_effect = ",".join(backend.asked), ",".join(backend.in_effect)
    return name, version, backend.runtime, backend.runtime_version, backend.precision, asked, in_effect
