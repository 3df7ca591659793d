"""Metrics of several workers, in memory that they share."""

import os

import pytest

from service.telemetry import shared_metrics
from service.telemetry.metrics import Metrics
from service.telemetry.shared_metrics import Family, SharedMetrics, WorkerPlace


def family(value: float, text: str = "") -> Family:
    return Family("f", text, "counter", "sum", lasting=True, samples={("f_total", ()): value})


def read(shared: SharedMetrics, place: int = 0) -> list[float]:
    return [value for each in shared.read(place) for value in each.samples.values()]


@pytest.fixture
def shared() -> SharedMetrics:
    return SharedMetrics(2)


def test_a_place_has_what_was_last_published_there(shared: SharedMetrics) -> None:
    assert read(shared) == []
    for value in (1, 2, 3):
        shared.publish(0, [family(value)])
        assert read(shared) == [value]
    assert read(shared, 1) == []


def test_families_that_are_too_large_leave_the_old_ones(
    shared: SharedMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_metrics, "BUFFER_BYTES", 10_000)
    shared.publish(0, [family(1)])
    shared.publish(0, [family(2, text="x" * 10_000)])
    assert read(shared) == [1]


def test_a_writer_that_is_killed_in_the_middle_leaves_the_old_families(shared: SharedMetrics) -> None:
    shared.publish(0, [family(1)])
    start = shared._buffer(0, shared._generation(0) + 1)
    shared._memory[start : start + 1000] = b"\xff" * 1000
    assert read(shared) == [1]
    shared.publish(0, [family(2)])
    assert read(shared) == [2]


def test_what_is_damaged_is_not_read(shared: SharedMetrics) -> None:
    shared.publish(0, [family(1)])
    shared._memory[shared._buffer(0, 1) + 40] ^= 255
    assert read(shared) == []


def test_processes_that_are_forked_share_the_memory(shared: SharedMetrics) -> None:
    child = os.fork()
    if child == 0:
        shared.publish(1, [family(7)])
        os._exit(0)
    os.waitpid(child, 0)
    assert read(shared, 1) == [7]


def expose(metrics: Metrics) -> dict[str, float]:
    lines = metrics.exposition().decode().splitlines()
    return {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")
    }


REQUESTS = 'blitzmask_requests_total{method="GET /",outcome="ok",transport="rest"}'
SECONDS = 'blitzmask_request_seconds_bucket{le="0.5",method="GET /",transport="rest"}'


def test_a_scrape_adds_up_all_workers(shared: SharedMetrics) -> None:
    first, second = (Metrics(WorkerPlace(shared, place)) for place in range(2))
    for metrics, slots, refused in ((first, 1, 2), (second, 3, 5)):
        metrics.watch("blitzmask_slots", "Slots.", lambda slots=slots: slots)  # type: ignore[misc]
        metrics.refused(refused)
        metrics.request("rest", "GET /", outcome="ok", seconds=0.2)
    first.ready(now=True)
    second.refresh()
    found = expose(first)
    assert found[REQUESTS] == found[SECONDS] == 2
    assert found["blitzmask_slots"] == 4
    assert found["blitzmask_models_refused"] == 5
    assert found["blitzmask_ready"] == 0
    assert not [name for name in found if not name.startswith("blitzmask_")]
    assert expose(first) == found


def test_counts_outlive_their_worker_and_gauges_do_not(shared: SharedMetrics) -> None:
    first, second = (Metrics(WorkerPlace(shared, place)) for place in range(2))
    for metrics in (first, second):
        metrics.watch("blitzmask_slots", "Slots.", lambda: 1)
        metrics.request("rest", "GET /", outcome="ok", seconds=0.2)
        metrics.refresh()
    shared.retire(0)
    found = expose(second)
    assert (found[REQUESTS], found["blitzmask_slots"]) == (2, 1)
    successor = Metrics(WorkerPlace(shared, 0))
    successor.request("rest", "GET /", outcome="ok", seconds=0.2)
    assert expose(successor)[REQUESTS] == 3
    assert expose(second)[REQUESTS] == 3
