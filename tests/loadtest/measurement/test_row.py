import dataclasses
import os
from pathlib import Path

import pytest

from loadtest.commands.loads import measure_closed
from loadtest.generators.recorder import Recorder, Span
from loadtest.measurement.baseline import BaselineRun
from loadtest.measurement.fake_server import FakeServer
from loadtest.measurement.harness import Setup, open_harness
from loadtest.measurement.host_stats import HostStats
from loadtest.measurement.row import Load, Slice, compare_with_baseline, cut_slice, slice_timeline, sum_up
from loadtest.types import OK, Answer
from tests.loadtest.rows import make_stage

CALM = HostStats(
    seconds=2.0,
    generator=0.1,
    server=1.9,
    others=0.0,
    steal=0.0,
    late_p99_ms=0.5,
    server_mb=100.0,
    server_descriptors=20,
)


def record(finished: list[float], *, failed: tuple[float, ...] = ()) -> Recorder:
    """Answers of 10 ms each."""
    recorder = Recorder()
    for time in finished:
        recorder.add(Answer(OK, stages={"infer": 9.0}), started=time - 0.01, finished=time)
    for time in failed:
        recorder.add(Answer("http 503", b"full"), started=time - 0.01, finished=time)
    return recorder


def test_throughput_is_what_was_answered_within_the_window() -> None:
    recorder = record([100.5, 101.0, 101.5, 102.0, 102.5], failed=(100.1,))

    row = sum_up(Load("x", clients=3), recorder, spans=[Span(100.0, 2.0)], host=CALM)

    assert row.throughput == 2.0
    assert row.answered == 5
    assert row.errors == {"http 503": 1}
    assert row.latency.p50 == pytest.approx(10.0)
    assert row.stages["infer"].mean == 9.0
    assert row.generator_ms == pytest.approx(0.1 * 2000 / 6)
    assert row.server_ms == pytest.approx(1.9 * 2000 / 6)
    assert (row.clients, row.offered, row.baseline) == (3, None, None)


async def test_the_servers_processes_may_be_named(setup: Setup) -> None:
    named = dataclasses.replace(setup, server_pid=os.getpid())
    async with open_harness(named, make_stage()) as harness:
        assert harness.server_pids == (os.getpid(),)


def test_a_run_without_an_answer_still_gives_a_row() -> None:
    row = sum_up(Load("x"), Recorder(), spans=[Span(0, 2.0)], host=CALM)
    assert row.server_ms is None
    assert (row.throughput, row.answered, row.latency.p99, row.timeline) == (0, 0, None, ())


def test_the_timeline_shows_a_gap_and_failures_where_they_were() -> None:
    recorder = record([0.2, 0.4, 0.6, 3.0], failed=(1.5, 1.6))

    seconds = slice_timeline(recorder, [Span(0, 3)])

    assert [moment.second for moment in seconds] == [0, 1, 2]
    assert [moment.rate for moment in seconds] == [3, 0, 1]
    assert [moment.failures for moment in seconds] == [0, 2, 0]
    assert seconds[1].p99 is None


def test_a_last_answer_just_after_the_end_makes_no_slice_of_its_own() -> None:
    recorder = record([step / 10 for step in range(1, 31)] + [3.01])
    rates = [moment.rate for moment in slice_timeline(recorder, [Span(0, 3)])]
    assert rates == [pytest.approx(10, abs=1)] * 3


def test_a_long_timeline_keeps_every_answer_in_a_bounded_number_of_slices() -> None:
    recorder = record([float(second) for second in range(1, 7201)])
    slices = slice_timeline(recorder, [Span(0, 3)])
    assert len(slices) == 120
    assert sum(moment.rate for moment in slices) * slices[1].second == pytest.approx(7200)


def test_what_lies_between_spans_is_neither_counted_nor_shown() -> None:
    recorder = record([0.5, 1.0, 1.5, 10.5, 11.0])
    row = sum_up(Load("x"), recorder, spans=[Span(0, 1), Span(10, 1)], host=CALM)
    assert (row.seconds, row.throughput, row.answered) == (2, 2.0, 5)
    assert [(moment.second, moment.rate) for moment in row.timeline] == [(0, 2), (1, 2)]


def test_every_slice_is_compared_with_the_baselines_on_its_two_sides() -> None:
    runs = [BaselineRun(100, 10), BaselineRun(50, 20), BaselineRun(10, 100)]
    found = compare_with_baseline([Slice(75, 15), Slice(15, 120)], runs)
    assert found is not None
    assert found.share.estimate == pytest.approx((1 + 0.5) / 2)
    assert found.slowness is not None
    assert found.slowness.estimate == pytest.approx((1 + 2) / 2)
    assert (found.share.low, found.rate) == (None, 50)


def test_a_stolen_second_moves_neither_the_share_nor_its_interval_much() -> None:
    slices = [Slice(rate, 10) for rate in (95, 96, 30, 95, 94, 96, 95)]
    found = compare_with_baseline(slices, [BaselineRun(100, 10)] * 8)
    assert found is not None
    assert found.share.estimate == pytest.approx(0.95)
    assert found.share.high is not None
    assert found.share.high < 1


def test_without_baselines_or_latencies_there_is_nothing_to_compare_with() -> None:
    assert compare_with_baseline([Slice(1, 1)], []) is None
    assert compare_with_baseline([], [BaselineRun(1, 1)]) is None
    found = compare_with_baseline([Slice(0, None)], [BaselineRun(1, 1)] * 2)
    assert found is not None
    assert (found.share.estimate, found.slowness) == (0, None)


def test_a_slice_has_what_was_answered_within_it() -> None:
    recorder = Recorder()
    for finished in (0.9, 1.5, 2.0, 3.1):
        recorder.add(Answer(OK), started=finished - 0.01, finished=finished)
    found = cut_slice(recorder, Span(1, 2))
    assert found.throughput == 1.0
    assert found.p50_ms == pytest.approx(10)
    assert cut_slice(recorder, Span(5, 2)) == Slice(0.0, None)


async def test_closed_loops_take_turns_with_the_baseline(
    fake: FakeServer, setup: Setup, models: Path
) -> None:
    beside = dataclasses.replace(setup, models_dir=models, baseline="threads")
    async with open_harness(beside, make_stage()) as harness:
        row = await measure_closed(harness, 2, seconds=3)
    assert row.baseline is not None
    assert (len(row.baseline.slices), len(row.baseline.baselines)) == (3, 4)
    assert row.seconds == pytest.approx(3, abs=0.2)
    assert row.throughput == pytest.approx(sum(one.throughput for one in row.baseline.slices) / 3, rel=0.01)
    assert len(fake.arrivals) > row.answered  # what filled the server before each slice is not counted
