from service.camera.answered import Answered
from service.camera.figures import Figures
from service.errors import InvalidImage
from tests.service.camera.conftest import frame, result


def count(figures: Figures, number: int, *tracks: int | None, now: float = 0.0) -> None:
    figures.count(Answered(frame(number), result(number, *tracks)), now)


def test_everybody_is_counted_once() -> None:
    figures = Figures()
    count(figures, 0, None, None)
    count(figures, 1, 2, 1)
    count(figures, 2, 1, 2, 5)
    count(figures, 3, 5, 2, None)
    assert figures.identities == {"cat": 3}
    assert figures.instances == 3
    assert figures.answered == 4


def test_the_rate_is_that_of_the_last_two_seconds() -> None:
    figures = Figures()
    assert figures.fps(0.0) == 0
    for number in range(40):
        count(figures, number, now=number / 10)
    assert figures.fps(3.9) == 10.5
    assert figures.fps(9.0) == 0


def test_failures_are_counted_apart() -> None:
    figures = Figures()
    figures.count(Answered(frame(0), result(0, error=InvalidImage("it is corrupt"))), 0.0)
    assert (figures.answered, figures.failed) == (0, 1)


def test_ages_have_quantiles() -> None:
    figures = Figures()
    assert figures.age_quantile(0.5) == 0
    count(figures, 0)
    assert figures.age_quantile(0.5) == figures.age_quantile(0.95) == 5.0
