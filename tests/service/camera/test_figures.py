from dataclasses import replace

import pytest

from service.camera.answered import Answered
from service.camera.figures import Figures
from service.errors import InvalidImage
from tests.service.camera.conftest import frame, result, segmentation


def count(figures: Figures, number: int, *tracks: int | None, now: float = 0.0) -> None:
    figures.count(Answered(frame(number), result(number, *tracks)), now)


def test_everybody_is_counted_once() -> None:
    figures = Figures()
    count(figures, 0, None, None)
    count(figures, 1, 2, 1)
    count(figures, 2, 1, 2, 5)
    count(figures, 3, 5, 2, None)
    assert figures.identities == {"cat": 3}
    assert figures.found == {"cat": 3}
    assert figures.answered == 4


def found(number: int, **labels: int) -> Answered:
    """A frame in which things have these labels, and these identities."""
    plain = segmentation(*labels.values())
    called = (replace(one, label=label) for one, label in zip(plain.instances, labels, strict=True))
    outcome = replace(plain, instances=tuple(called))
    return Answered(frame(number), replace(result(number), outcome=outcome))


def test_everybody_is_counted_as_what_they_were_called_most_often() -> None:
    figures = Figures()
    for number, label in enumerate(["cat", "dog", "dog", "cat", "dog", "bear"]):
        figures.count(found(number, **{label: 1, "car": 2}), 0.0)
    assert dict(figures.identities) == {"dog": 1, "car": 1}


def test_who_was_seen_long_ago_is_still_counted_and_never_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.camera.figures.REMEMBERED", 2)
    figures = Figures()
    for number in (1, 2, 3, 4, 1, 2):
        figures.count(found(number, cat=number), 0.0)
    assert figures.identities == {"cat": 4}


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
