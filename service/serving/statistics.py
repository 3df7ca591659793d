"""Counts each model's inferences since the start, and the time of each stage.

For the Open Inference Protocol, whose clients ask for it; Prometheus has more. One process, one event loop.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from service.types import Timings

Json = dict[str, object]
Key = tuple[str, str]
"""A model's name in the protocol, and its version."""

STAGES = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
UNUSED = ("cache_hit", "cache_miss")


@dataclass(slots=True)
class Duration:
    """A number of times, and the nanoseconds of all of them."""

    count: int = 0
    ns: int = 0

    def add(self, milliseconds: float) -> None:
        self.count += 1
        self.ns += round(milliseconds * 1e6)


@dataclass(slots=True)
class _Record:
    last_ms: int = 0
    images: int = 0
    durations: dict[str, Duration] = field(default_factory=lambda: {stage: Duration() for stage in STAGES})


class Statistics:
    """Counts by model."""

    def __init__(self) -> None:
        self._records: dict[Key, _Record] = {}

    def succeeded(self, key: Key, timings: Timings, *, queue_ms: float, images: int) -> None:
        """Count one request that was answered."""
        record = self._record(key)
        record.last_ms = round(time.time() * 1000)
        record.images += images
        spent = {
            "success": queue_ms + timings.total,
            "queue": queue_ms,
            "compute_input": timings.decode + timings.prepare,
            "compute_infer": timings.infer,
            "compute_output": timings.postprocess + timings.masks,
        }
        for stage, milliseconds in spent.items():
            record.durations[stage].add(milliseconds)

    def failed(self, key: Key, milliseconds: float) -> None:
        """Count one request that could not be answered."""
        self._record(key).durations["fail"].add(milliseconds)

    def describe(self, keys: Iterable[Key]) -> Json:
        """ModelStatisticsResponse."""
        return {"model_stats": [self._describe(*key) for key in keys]}

    def _record(self, key: Key) -> _Record:
        return self._records.setdefault(key, _Record())

    def _describe(self, name: str, version: str) -> Json:
        record = self._records.get((name, version), _Record())
        stages = record.durations | {stage: Duration() for stage in UNUSED}
        return {
            "name": name,
            "version": version,
            "last_inference": record.last_ms,
            "inference_count": record.images,
            "execution_count": record.durations["success"].count,
            "inference_stats": {
                stage: {"count": duration.count, "ns": duration.ns} for stage, duration in stages.items()
            },
        }
