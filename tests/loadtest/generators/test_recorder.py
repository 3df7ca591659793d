import asyncio
import time

import pytest

from loadtest.generators.recorder import Recorder, Window
from loadtest.types import OK, Answer


def test_a_window_closes_after_its_requests() -> None:
    window = Window(60, requests=2, stop=asyncio.Event())
    assert [window.take() for _ in range(4)] == [True, True, False, False]
    assert window.sent == 2


def test_a_window_closes_after_its_time() -> None:
    window = Window(0.01, stop=asyncio.Event())
    assert window.take()
    time.sleep(0.02)
    assert not window.take()


def test_what_is_spent_is_of_the_time_or_of_the_requests_whichever_ends_sooner() -> None:
    window = Window(1e9, requests=4, stop=asyncio.Event())
    window.take()
    assert window.spent == 0.25
    assert 0 <= Window(1e9, stop=asyncio.Event()).spent < 0.5
    assert Window(0, stop=asyncio.Event()).spent == 1


def test_a_stop_closes_a_window_at_once() -> None:
    stop = asyncio.Event()
    window = Window(60, stop=stop)
    stop.set()
    assert not window.take()


def test_a_window_is_open_before_it_counts() -> None:
    window = Window(0.01, lead=0.05, stop=asyncio.Event())
    assert window.opened > time.perf_counter()
    assert window.take()
    time.sleep(0.07)
    assert not window.take()


def test_good_answers_are_timed_and_others_counted_by_kind() -> None:
    recorder = Recorder()
    recorder.add(Answer(OK, b"1234", {"infer": 9.0}), started=1.0, finished=1.02)
    recorder.add(Answer("http 503", b"first"), started=1.0, finished=1.5)
    recorder.add(Answer("http 503", b"second"), started=1.0, finished=1.6)
    recorder.add(Answer("timeout"), started=1.0, finished=31.0)

    assert recorder.milliseconds.tolist() == pytest.approx([20.0])
    assert recorder.finished.tolist() == [1.02]
    assert recorder.stages["infer"].tolist() == [9.0]
    assert recorder.errors == {"http 503": 2, "timeout": 1}
    assert recorder.examples["http 503"] == "first"
    assert recorder.failed_at.tolist() == [1.5, 1.6, 31.0]
    assert (recorder.answered, recorder.failed) == (1, 3)


def test_an_example_that_is_long_or_no_text_is_shortened_and_kept() -> None:
    recorder = Recorder()
    recorder.add(Answer("x", b"\xff" * 10_000), started=0, finished=1)
    assert len(recorder.examples["x"]) <= 1000
