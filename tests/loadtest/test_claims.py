import dataclasses

import pytest

from loadtest.claims import (
    at_least,
    at_most,
    claim_alone,
    claim_cold_start,
    claim_memory,
    claim_overload,
    claim_recovery,
    claim_streams,
    claim_throughput,
)
from loadtest.floor import FloorRun
from loadtest.latencies import Latency
from loadtest.row import Row
from loadtest.share import Slice
from tests.loadtest.rows import ROW, with_floor, with_latency


def test_a_claim_is_kept_at_its_target_and_not_beyond_and_never_when_unknown() -> None:
    assert [at_least("x", value, 0.95).met for value in (0.95, 0.949, None)] == [True, False, False]
    assert [at_most("x", value, 2).met for value in (2.0, 2.01, None)] == [True, False, False]
    assert at_least("x", 1, 0.95).target == "at least 0.95"


def test_throughput_is_claimed_as_a_share_of_the_floor() -> None:
    slow = with_floor(ROW, [Slice(90, 1.0)] * 5, *[FloorRun(100, 1)] * 6)
    kept, missed, unknown = claim_throughput("REST", [ROW, slow, dataclasses.replace(ROW, floor=None)])
    assert (kept.met, missed.met, missed.value, unknown.met) == (True, False, 0.9, False)
    assert (missed.low, missed.high) == (0.9, 0.9)
    assert kept.name == "REST, 4 clients: throughput over floor"


def test_a_lone_client_is_compared_with_the_floors_beside_it() -> None:
    found = claim_alone(with_floor(ROW, [Slice(1, 44.0)], FloorRun(1, 35.0), FloorRun(1, 45.0)))
    assert (found.value, found.met) == (1.1, True)
    unanswered = with_floor(ROW, [Slice(0, None)], FloorRun(1, 35.0), FloorRun(1, 45.0))
    assert claim_alone(unanswered).met is False
    assert claim_alone(dataclasses.replace(ROW, floor=None)).met is False


def test_overload_counts_what_came_in_time_and_how_quickly_the_rest_was_refused() -> None:
    row = dataclasses.replace(ROW, in_time=96.0, refusals=Latency(p99=150.0))
    in_time, refused = claim_overload(1.5, row, 100.0)
    assert (in_time.value, in_time.met, refused.value, refused.met) == (0.96, True, 150.0, False)
    worse, _ = claim_overload(3.0, dataclasses.replace(row, in_time=84.0), 100.0)
    assert (worse.target, worse.met) == ("at least 0.85", False)
    assert claim_overload(3.0, ROW, 100.0)[1].met  # nothing had to be refused


def test_recovery_is_the_worst_after_over_before_and_a_machine_that_drifts_is_no_fault() -> None:
    def alone(p50: float | None, floor: float) -> Row:
        return with_floor(ROW, [Slice(1, p50)], FloorRun(1, floor), FloorRun(1, floor))

    calm = alone(10, 10)
    assert claim_recovery(calm, [alone(11, 10), alone(22, 20)]).value == pytest.approx(1.1)
    worst = claim_recovery(calm, [alone(11, 10), alone(13, 10)])
    assert worst.value == pytest.approx(1.3)
    assert worst.met is False
    assert not claim_recovery(calm, [alone(11, 10), alone(None, 10)]).met
    assert not claim_recovery(dataclasses.replace(ROW, floor=None), [calm]).met


def test_cameras_keep_the_floor_and_a_lone_one_stays_fresh() -> None:
    lone = dataclasses.replace(ROW, clients=1, latency=Latency(p95=29.0))
    unloaded = dataclasses.replace(with_latency(ROW, p50=10.0), floor=None)
    one, four, age = claim_streams([lone, ROW], unloaded)
    assert (one.target, four.target) == ("at least 0.9", "at least 0.95")
    assert age.value == pytest.approx(2.9)
    assert age.met
    stale = dataclasses.replace(lone, latency=Latency(p95=31.0))
    assert not claim_streams([stale], unloaded)[-1].met
    assert len(claim_streams([ROW], unloaded)) == 1


def test_freshness_is_judged_by_the_machine_as_it_is_meanwhile() -> None:
    unloaded = with_floor(ROW, [Slice(100, 10.0)], FloorRun(100, 10.0), FloorRun(100, 10.0))
    lone = dataclasses.replace(ROW, clients=1, latency=Latency(p95=50.0))
    slower = with_floor(lone, [Slice(50, 25.0)], FloorRun(50, 20.0), FloorRun(50, 20.0))
    assert claim_streams([slower], unloaded)[-1].value == pytest.approx(2.5)


def test_memory_is_counted_above_the_imports_and_must_not_grow() -> None:
    small, flat = claim_memory(250, 100, [240.0] * 10)
    large, growing = claim_memory(350, 100, [200, 200, 200, 210, 220, 230, 240, 250, 260, 270])
    assert (small.value, small.met, flat.met) == (150, True, True)
    assert (large.value, large.met, growing.met) == (250, False, False)
    unseen = claim_memory(None, 100, [])
    assert [finding.met for finding in unseen] == [False, False]


def test_a_cold_start_is_the_median_of_several() -> None:
    assert claim_cold_start([0.8, 5.0, 0.9]).value == 0.9
