import pytest

from loadtest.clients import OK, Answer
from loadtest.recorder import Recorder
from loadtest.row import Load, slice_timeline, sum_up
from loadtest.surroundings import Surroundings
from loadtest.window import Span

CALM = Surroundings(
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

    row = sum_up(Load("x", clients=3), recorder, spans=[Span(100.0, 2.0)], surroundings=CALM)

    assert row.throughput == 2.0
    assert row.answered == 5
    assert row.errors == {"http 503": 1}
    assert row.latency.p50 == pytest.approx(10.0)
    assert row.stages["infer"].mean == 9.0
    assert row.generator_ms == pytest.approx(0.1 * 2000 / 6)
    assert (row.clients, row.offered, row.floor) == (3, None, None)


def test_a_run_without_an_answer_still_gives_a_row() -> None:
    row = sum_up(Load("x"), Recorder(), spans=[Span(0, 2.0)], surroundings=CALM)
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
    row = sum_up(Load("x"), recorder, spans=[Span(0, 1), Span(10, 1)], surroundings=CALM)
    assert (row.seconds, row.throughput, row.answered) == (2, 2.0, 5)
    assert [(moment.second, moment.rate) for moment in row.timeline] == [(0, 2), (1, 2)]
