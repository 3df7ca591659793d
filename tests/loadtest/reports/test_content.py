import dataclasses

import pytest

from loadtest.measurement.baseline import BaselineRun
from loadtest.measurement.host_stats import HostStats
from loadtest.measurement.row import Slice
from loadtest.reports.content import find_warnings, list_warnings
from tests.loadtest.rows import CALM, ROW, with_baseline, with_latency


def test_a_calm_run_is_not_warned_about() -> None:
    assert find_warnings(ROW) == ()
    assert list_warnings([ROW]) == []


@pytest.mark.parametrize(
    ("host", "word"),
    [
        (dataclasses.replace(CALM, generator=0.95), "bottleneck"),
        (dataclasses.replace(CALM, late_p99_ms=6.0), "late"),
        (dataclasses.replace(CALM, others=0.5), "other processes"),
        (dataclasses.replace(CALM, steal=0.1), "hypervisor"),
    ],
)
def test_a_disturbed_run_is_warned_about_once(host: HostStats, word: str) -> None:
    (warning,) = find_warnings(dataclasses.replace(ROW, host=host))
    assert word in warning.text


def test_lateness_counts_by_the_latency_it_spoils() -> None:
    slow = dataclasses.replace(ROW, host=dataclasses.replace(CALM, late_p99_ms=3.0))
    quick = with_latency(slow, p50=10.0)
    assert (len(find_warnings(slow)), len(find_warnings(quick))) == (0, 1)


def test_requests_sent_late_are_warned_about_too() -> None:
    late = dataclasses.replace(ROW, sent_late=dataclasses.replace(ROW.latency, p99=12.0))
    (warning,) = find_warnings(late)
    assert "12.0 ms late" in warning.text


def test_a_baseline_that_moved_is_warned_about() -> None:
    (warning,) = find_warnings(
        with_baseline(ROW, [Slice(100, 40)], BaselineRun(100, 19), BaselineRun(70, 25))
    )
    assert "baseline went from 100.0 to 70.0" in warning.text


def test_slices_that_disagree_are_warned_about_and_a_drift_that_they_follow_is_not() -> None:
    runs = [BaselineRun(rate, 19) for rate in (100, 90, 80, 70, 60)]
    following = [Slice(rate, 40) for rate in (95, 85, 75, 65)]
    assert find_warnings(with_baseline(ROW, following, *runs)) == ()
    (warning,) = find_warnings(
        with_baseline(ROW, [Slice(95, 40), Slice(50, 40), Slice(75, 40), Slice(30, 40)], *runs)
    )
    assert "differs much between slices" in warning.text


def test_few_answers_are_warned_about_and_hidden_figures_are_not() -> None:
    (warning,) = find_warnings(dataclasses.replace(ROW, answered=9))
    assert "only 9 answers" in warning.text
    unseen = dataclasses.replace(CALM, server=None, others=None)
    assert find_warnings(dataclasses.replace(ROW, host=unseen, baseline=None)) == ()


def test_the_same_warning_about_many_rows_is_one_line_about_the_worst() -> None:
    rows = [
        dataclasses.replace(ROW, name=name, host=dataclasses.replace(CALM, others=others))
        for name, others in (("a", 0.3), ("b", 0.9), ("c", 0.0))
    ]
    (line,) = list_warnings(rows)
    assert line.startswith("b: other processes used 0.90 cores")
    assert "2 such loads out of 3" in line
    fewest = [dataclasses.replace(ROW, name=name, answered=count) for name, count in (("a", 5), ("b", 3))]
    assert list_warnings(fewest)[0].startswith("b: only 3 answers")
