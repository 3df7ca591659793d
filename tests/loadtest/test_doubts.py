import dataclasses

import pytest

from loadtest.doubts import find_doubts, list_doubts
from loadtest.floor import FloorRun
from loadtest.share import Slice
from loadtest.surroundings import Surroundings
from tests.loadtest.rows import CALM, ROW, with_floor, with_latency


def test_a_calm_run_is_not_doubted() -> None:
    assert find_doubts(ROW) == ()
    assert list_doubts([ROW]) == []


@pytest.mark.parametrize(
    ("surroundings", "word"),
    [
        (dataclasses.replace(CALM, generator=0.95), "bottleneck"),
        (dataclasses.replace(CALM, late_p99_ms=6.0), "late"),
        (dataclasses.replace(CALM, others=0.5), "other processes"),
        (dataclasses.replace(CALM, steal=0.1), "hypervisor"),
    ],
)
def test_a_disturbed_run_is_doubted_once(surroundings: Surroundings, word: str) -> None:
    (doubt,) = find_doubts(dataclasses.replace(ROW, surroundings=surroundings))
    assert word in doubt.text


def test_lateness_counts_by_the_latency_it_spoils() -> None:
    slow = dataclasses.replace(ROW, surroundings=dataclasses.replace(CALM, late_p99_ms=3.0))
    quick = with_latency(slow, p50=10.0)
    assert (len(find_doubts(slow)), len(find_doubts(quick))) == (0, 1)


def test_requests_sent_late_are_doubted_too() -> None:
    late = dataclasses.replace(ROW, sent_late=dataclasses.replace(ROW.latency, p99=12.0))
    (doubt,) = find_doubts(late)
    assert "12.0 ms late" in doubt.text


def test_a_floor_that_moved_is_doubted() -> None:
    (doubt,) = find_doubts(with_floor(ROW, [Slice(100, 40)], FloorRun(100, 19), FloorRun(70, 25)))
    assert "floor went from 100.0 to 70.0" in doubt.text


def test_slices_that_disagree_are_doubted_and_a_drift_that_they_follow_is_not() -> None:
    floors = [FloorRun(rate, 19) for rate in (100, 90, 80, 70, 60)]
    following = [Slice(rate, 40) for rate in (95, 85, 75, 65)]
    assert find_doubts(with_floor(ROW, following, *floors)) == ()
    (doubt,) = find_doubts(
        with_floor(ROW, [Slice(95, 40), Slice(50, 40), Slice(75, 40), Slice(30, 40)], *floors)
    )
    assert "very different shares" in doubt.text


def test_few_answers_are_doubted_and_what_cannot_be_seen_is_not() -> None:
    (doubt,) = find_doubts(dataclasses.replace(ROW, answered=9))
    assert "only 9 answers" in doubt.text
    unseen = dataclasses.replace(CALM, server=None, others=None)
    assert find_doubts(dataclasses.replace(ROW, surroundings=unseen, floor=None)) == ()


def test_the_same_doubt_about_many_rows_is_one_line_about_the_worst() -> None:
    rows = [
        dataclasses.replace(ROW, name=name, surroundings=dataclasses.replace(CALM, others=others))
        for name, others in (("a", 0.3), ("b", 0.9), ("c", 0.0))
    ]
    (line,) = list_doubts(rows)
    assert line.startswith("b: other processes used 0.90 cores")
    assert "2 of 3 loads" in line
    fewest = [dataclasses.replace(ROW, name=name, answered=count) for name, count in (("a", 5), ("b", 3))]
    assert list_doubts(fewest)[0].startswith("b: only 3 answers")
