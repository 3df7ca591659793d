import io

from rich.console import Console

from service.camera.answered import Answered
from service.camera.figures import Figures
from service.camera.status import StatusLine
from service.errors import InvalidImage
from tests.service.camera.conftest import FakeClock, frame, result


def line_of(console: Console, clock: FakeClock, *, shown: bool = True) -> tuple[StatusLine, Figures]:
    figures = Figures()
    return StatusLine("door", figures, clock=clock, console=console, shown=shown), figures


def test_the_line_tells_rate_age_and_drops(clock: FakeClock) -> None:
    line, figures = line_of(Console(file=io.StringIO()), clock)
    for number in range(4):
        figures.count(Answered(frame(number), result(number, 1, 2)), 0.0)
    assert line.render().plain == "door  2.0 fps  age 5 ms  dropped 0  found 2 cat"
    figures.count(Answered(frame(4), result(4, error=InvalidImage("no"))), 0.0)
    assert line.render().plain == "door  2.5 fps  age 5 ms  dropped 0  failed 1  found 2 cat"


def test_a_terminal_sees_the_line_and_what_happens(clock: FakeClock) -> None:
    screen = io.StringIO()
    line, _ = line_of(Console(file=screen, force_terminal=True, width=80), clock)
    with line:
        line.tell("the [server] :abc: is gone")
    assert "0.0 fps" in screen.getvalue()
    assert "found nothing" in screen.getvalue()
    assert "door: the [server] :abc: is gone" in screen.getvalue()


def test_a_file_sees_only_what_happens(clock: FakeClock) -> None:
    text = io.StringIO()
    line, _ = line_of(Console(file=text), clock)
    with line:
        line.tell("the server is gone")
    assert text.getvalue() == "door: the server is gone\n"


def test_a_terminal_that_shows_the_answers_is_left_alone(clock: FakeClock) -> None:
    screen = io.StringIO()
    line, _ = line_of(Console(file=screen, force_terminal=True), clock, shown=False)
    with line:
        pass
    assert screen.getvalue() == ""


def test_the_summary_counts_identities(clock: FakeClock) -> None:
    text = io.StringIO()
    line, figures = line_of(Console(file=text), clock)
    line.summarise(0.0)
    assert text.getvalue().count("\n") == 1
    figures.count(Answered(frame(0), result(0, 1, 2)), 0.0)
    line.summarise(2.0)
    assert "1 answered in 2.0 s (0.5 fps), 0 dropped, 0 failed; age p50 5 ms, p95 5 ms" in text.getvalue()
    assert text.getvalue().endswith("door: identities: cat 2\n")
