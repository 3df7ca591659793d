import dataclasses

import pytest

from loadtest.commands.slo import (
    at_least,
    at_most,
    judge_alone,
    judge_cold_start,
    judge_crowd,
    judge_memory,
    judge_overload,
    judge_recovery,
    judge_streams,
    judge_throughput,
)
from loadtest.measurement.baseline import BaselineRun
from loadtest.measurement.row import Row, Slice, compare_with_baseline
from loadtest.measurement.statistics import Latency
from service.process.limits import usable_cores
from tests.loadtest.rows import ROW, with_baseline, with_latency


def test_an_objective_is_met_at_its_target_and_never_when_unknown() -> None:
    assert [at_least("x", value, 0.95).met for value in (0.95, 0.949, None)] == [True, False, False]
    assert [at_most("x", value, 2).met for value in (2.0, 2.01, None)] == [True, False, False]
    assert at_least("x", 1, 0.95).target == "at least 0.95"


def test_throughput_is_a_share_of_the_baseline() -> None:
    slow = with_baseline(ROW, [Slice(90, 1.0)] * 5, *[BaselineRun(100, 1)] * 6)
    kept, missed, unknown = judge_throughput("rest", [ROW, slow, dataclasses.replace(ROW, baseline=None)])
    assert (kept.met, missed.met, missed.value, unknown.met) == (True, False, 0.9, False)
    assert (missed.low, missed.high) == (0.9, 0.9)
    assert kept.name == "REST, 4 clients: throughput over baseline"
    assert judge_throughput("grpc", [slow])[0].met  # 0.9 are enough over gRPC


def test_the_clients_cost_is_taken_off_where_it_is_known() -> None:
    runs = [BaselineRun(100, 1)] * 2
    share = compare_with_baseline([Slice(90, 1.0)], runs, client_ms=1e3 * usable_cores() / 100 / 9)
    (found,) = judge_throughput("rest", [dataclasses.replace(ROW, baseline=share)])
    assert found.value == pytest.approx(1.0)  # clients with a ninth of the baseline's cost leave 90 of 100
    assert found.name == "REST, 4 clients: throughput over baseline less the clients' cost"


def test_a_crowd_gets_as_many_answers_as_a_few() -> None:
    crowd = dataclasses.replace(ROW, name="64 clients", throughput=83.0)
    found = judge_crowd(crowd, ROW)
    assert (found.value, found.met) == (0.83, False)
    assert judge_crowd(ROW, ROW).met
    assert not judge_crowd(ROW, dataclasses.replace(ROW, throughput=0.0)).met


def test_a_lone_client_is_compared_with_the_baselines_around_it() -> None:
    found = judge_alone(with_baseline(ROW, [Slice(1, 44.0)], BaselineRun(1, 35.0), BaselineRun(1, 45.0)))
    assert (found.value, found.met) == (1.1, True)
    unanswered = with_baseline(ROW, [Slice(0, None)], BaselineRun(1, 35.0), BaselineRun(1, 45.0))
    assert judge_alone(unanswered).met is False
    assert judge_alone(dataclasses.replace(ROW, baseline=None)).met is False


def test_overload_counts_answers_in_time_and_the_wait_for_a_refusal() -> None:
    row = dataclasses.replace(ROW, in_time=96.0, refusals=Latency(p99=150.0))
    in_time, refused = judge_overload(1.5, row, 100.0)
    assert (in_time.value, in_time.met, refused.value, refused.met) == (0.96, True, 150.0, False)
    worse, _ = judge_overload(3.0, dataclasses.replace(row, in_time=89.0), 100.0)
    assert (worse.target, worse.met) == ("at least 0.9", False)
    assert judge_overload(3.0, ROW, 100.0)[1].met  # nothing had to be refused


def test_recovery_is_the_worst_after_over_before_and_a_machine_that_drifts_is_no_fault() -> None:
    def alone(p50: float | None, baseline: float) -> Row:
        return with_baseline(ROW, [Slice(1, p50)], BaselineRun(1, baseline), BaselineRun(1, baseline))

    calm = alone(10, 10)
    assert judge_recovery(calm, [alone(11, 10), alone(22, 20)]).value == pytest.approx(1.1)
    worst = judge_recovery(calm, [alone(11, 10), alone(13, 10)])
    assert worst.value == pytest.approx(1.3)
    assert worst.met is False
    assert not judge_recovery(calm, [alone(11, 10), alone(None, 10)]).met
    assert not judge_recovery(dataclasses.replace(ROW, baseline=None), [calm]).met


def test_cameras_keep_the_baseline_and_a_lone_one_stays_fresh() -> None:
    lone = dataclasses.replace(ROW, clients=1, latency=Latency(p95=29.0))
    unloaded = dataclasses.replace(with_latency(ROW, p50=10.0), baseline=None)
    one, four, age = judge_streams([lone, ROW], unloaded)
    assert (one.target, four.target) == ("at least 0.9", "at least 0.92")
    assert age.value == pytest.approx(2.9)
    assert age.met
    stale = dataclasses.replace(lone, latency=Latency(p95=31.0))
    assert not judge_streams([stale], unloaded)[-1].met
    assert len(judge_streams([ROW], unloaded)) == 1


def test_freshness_is_judged_by_the_machine_as_it_is_meanwhile() -> None:
    unloaded = with_baseline(ROW, [Slice(100, 10.0)], BaselineRun(100, 10.0), BaselineRun(100, 10.0))
    lone = dataclasses.replace(ROW, clients=1, latency=Latency(p95=50.0))
    slower = with_baseline(lone, [Slice(50, 25.0)], BaselineRun(50, 20.0), BaselineRun(50, 20.0))
    assert judge_streams([slower], unloaded)[-1].value == pytest.approx(2.5)


def test_memory_is_small_and_does_not_grow() -> None:
    small, flat = judge_memory([240.0] * 10)
    large, growing = judge_memory([200, 200, 200, 210, 220, 230, 240, 250, 300, 310])
    assert (small.value, small.met, flat.met) == (240, True, True)
    assert (large.value, large.met, growing.met) == (310, False, False)
    unseen = judge_memory([])
    assert [finding.met for finding in unseen] == [False, False]


def test_a_cold_start_is_the_median_of_several() -> None:
    assert judge_cold_start([0.8, 5.0, 0.9]).value == 0.9
