import io
from dataclasses import replace

import pytest
from rich.console import Console

from service.camera.output import AnsweredFrame
from service.camera.status import Statistics, StatusLine
from service.errors import InvalidImage
from tests.service.camera.conftest import FakeClock, frame, result, segmentation


def line_of(console: Console, clock: FakeClock, *, shown: bool = True) -> tuple[StatusLine, Statistics]:
    statistics = Statistics()
    return StatusLine("door", statistics, clock=clock, console=console, shown=shown), statistics


def test_the_line_tells_rate_age_and_drops(clock: FakeClock) -> None:
    line, statistics = line_of(Console(file=io.StringIO()), clock)
    for number in range(4):
        statistics.count(AnsweredFrame(frame(number), result(number, 1, 2)), 0.0)
    assert line.render().plain == "door  2.0 fps  age 5 ms  dropped 0  found 2 cat"
    statistics.count(AnsweredFrame(frame(4), result(4, error=InvalidImage("no"))), 0.0)
    assert line.render().plain == "door  2.5 fps  age 5 ms  dropped 0  failed 1  found 2 cat"


def test_a_terminal_sees_the_line_and_what_happens(clock: FakeClock) -> None:
    screen = io.StringIO()
    line, _ = line_of(Console(file=screen, force_terminal=True, width=80), clock)
    with line:
        line.report("the [server] :abc: is gone")
    assert "0.0 fps" in screen.getvalue()
    assert "found nothing" in screen.getvalue()
    assert "door: the [server] :abc: is gone" in screen.getvalue()


def test_a_file_sees_only_what_happens(clock: FakeClock) -> None:
    text = io.StringIO()
    line, _ = line_of(Console(file=text), clock)
    with line:
        line.report("the server is gone")
    assert text.getvalue() == "door: the server is gone\n"


def test_a_terminal_that_shows_the_answers_is_left_alone(clock: FakeClock) -> None:
    screen = io.StringIO()
    line, _ = line_of(Console(file=screen, force_terminal=True), clock, shown=False)
    with line:
        pass
    assert screen.getvalue() == ""


def test_the_summary_counts_identities(clock: FakeClock) -> None:
    text = io.StringIO()
    line, statistics = line_of(Console(file=text), clock)
    line.summarise(0.0)
    assert text.getvalue().count("\n") == 1
    statistics.count(AnsweredFrame(frame(0), result(0, 1, 2)), 0.0)
    line.summarise(2.0)
    assert "1 answered in 2.0 s (0.5 fps), 0 dropped, 0 failed; age p50 5 ms, p95 5 ms" in text.getvalue()
    assert text.getvalue().endswith("door: identities: cat 2\n")


def count(statistics: Statistics, number: int, *tracks: int | None, now: float = 0.0) -> None:
    statistics.count(AnsweredFrame(frame(number), result(number, *tracks)), now)


def test_everybody_is_counted_once() -> None:
    statistics = Statistics()
    count(statistics, 0, None, None)
    count(statistics, 1, 2, 1)
    count(statistics, 2, 1, 2, 5)
    count(statistics, 3, 5, 2, None)
    assert statistics.identities == {"cat": 3}
    assert statistics.found == {"cat": 3}
    assert statistics.answered == 4


def found(number: int, **labels: int) -> AnsweredFrame:
    """An answer whose instances have these labels and identities."""
    plain = segmentation(*labels.values())
    called = (replace(one, label=label) for one, label in zip(plain.instances, labels, strict=True))
    outcome = replace(plain, instances=tuple(called))
    return AnsweredFrame(frame(number), replace(result(number), outcome=outcome))


def test_everybody_is_counted_as_what_they_were_called_most_often() -> None:
    statistics = Statistics()
    for number, label in enumerate(["cat", "dog", "dog", "cat", "dog", "bear"]):
        statistics.count(found(number, **{label: 1, "car": 2}), 0.0)
    assert dict(statistics.identities) == {"dog": 1, "car": 1}


def test_who_was_seen_long_ago_is_still_counted_and_never_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.camera.status.REMEMBERED", 2)
    statistics = Statistics()
    for number in (1, 2, 3, 4, 1, 2):
        statistics.count(found(number, cat=number), 0.0)
    assert statistics.identities == {"cat": 4}


def test_the_rate_is_that_of_the_last_two_seconds() -> None:
    statistics = Statistics()
    assert statistics.fps(0.0) == 0
    for number in range(40):
        count(statistics, number, now=number / 10)
    assert statistics.fps(3.9) == 10.5
    assert statistics.fps(9.0) == 0


def test_failures_are_counted_apart() -> None:
    statistics = Statistics()
    statistics.count(AnsweredFrame(frame(0), result(0, error=InvalidImage("it is corrupt"))), 0.0)
    assert (statistics.answered, statistics.failed) == (0, 1)


def test_ages_have_quantiles() -> None:
    statistics = Statistics()
    assert statistics.age_quantile(0.5) == 0
    count(statistics, 0)
    assert statistics.age_quantile(0.5) == statistics.age_quantile(0.95) == 5.0
