"""Counts of inferences."""

import time
from typing import Any

from service.serving.statistics import Statistics
from service.types import Timings

TOY, OTHER = ("toy", "1"), ("other", "1")
TIMINGS = Timings(decode=1, prepare=2, infer=4, postprocess=8, masks=16)


def describe(statistics: Statistics) -> list[dict[str, Any]]:
    described: Any = statistics.describe([TOY, OTHER])["model_stats"]
    return list(described)


def test_nothing_happened_yet() -> None:
    for entry in describe(Statistics()):
        assert entry["last_inference"] == entry["inference_count"] == entry["execution_count"] == 0
        assert {(each["count"], each["ns"]) for each in entry["inference_stats"].values()} == {(0, 0)}


def test_stages_add_up_by_model() -> None:
    statistics = Statistics()
    for images in (1, 4):
        statistics.succeeded(TOY, TIMINGS, queue_ms=0.5, images=images)
    statistics.failed(TOY, 3)
    toy, other = describe(statistics)
    assert other["execution_count"] == 0
    assert (toy["name"], toy["version"]) == TOY
    assert (toy["inference_count"], toy["execution_count"]) == (5, 2)
    assert abs(toy["last_inference"] / 1000 - time.time()) < 60
    spent = {stage: (each["count"], each["ns"]) for stage, each in toy["inference_stats"].items()}
    assert spent == {
        "success": (2, 63_000_000),
        "fail": (1, 3_000_000),
        "queue": (2, 1_000_000),
        "compute_input": (2, 6_000_000),
        "compute_infer": (2, 8_000_000),
        "compute_output": (2, 48_000_000),
        "cache_hit": (0, 0),
        "cache_miss": (0, 0),
    }
