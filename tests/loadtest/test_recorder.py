import pytest

from loadtest.clients import OK, Answer
from loadtest.recorder import Recorder


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
    assert (recorder.answered, recorder.failed, recorder.received_bytes) == (1, 3, 15)


def test_an_example_that_is_long_or_no_text_is_shortened_and_kept() -> None:
    recorder = Recorder()
    recorder.add(Answer("x", b"\xff" * 10_000), started=0, finished=1)
    assert len(recorder.examples["x"]) <= 200
