"""Zones, lines and limits that cannot be used are refused, and the reason names them."""

from collections.abc import Callable

import pytest

from service.errors import InvalidOption
from service.events.scene import MOST_PLACES, Area, Limits, Line, Scene, Zone

SQUARE = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5))
YARD = Zone("yard", SQUARE)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Zone("", SQUARE), "needs a name"),
        (lambda: Zone("a\nb", SQUARE), "needs a name"),
        (lambda: Zone("yard", SQUARE[:2]), "zone yard has 2 corners"),
        (lambda: Zone("yard", ((0, 0), (0.5, 0.5), (1, 1))), "straight line"),
        (lambda: Zone("yard", ((0, 0), (0, 0), (0, 0))), "straight line"),
        (lambda: Zone("yard", ((0, 0), (2, 0), (2, 2))), "outside 0 to 1"),
        (lambda: Zone("yard", ((0, 0), (float("nan"), 0), (1, 1)), "pixels"), "not a finite number"),
        (lambda: Zone("yard", SQUARE, "feet"), "unit of zone yard"),  # type: ignore[arg-type]
        (lambda: Zone("yard", SQUARE, min_s=-1), "min_s of zone yard is -1"),
        (lambda: Line("gate", (0, 0), (0, 0)), "one point"),
        (lambda: Line("gate", (0, 0), (0, 1), direction="up"), "expected in or out"),  # type: ignore[arg-type]
        (lambda: Area(SQUARE[:1]), "the area to ignore has 1 corners"),
        (lambda: Limits("person", min_area=2), "min_area of person is 2"),
        (lambda: Limits(min_s=float("inf")), "min_s of all classes is inf"),
        (lambda: Scene((YARD, YARD)), "'yard' is given twice"),
        (lambda: Scene((YARD,), (Line("yard", (0, 0), (1, 1)),)), "'yard' is given twice"),
        (lambda: Scene(limits=(Limits(), Limits())), "'all classes' is given twice"),
        (lambda: Scene(ignored=(Area(SQUARE),) * (MOST_PLACES + 1)), "at most 64"),
        (lambda: Scene(anchor="top"), "anchor is 'top'"),  # type: ignore[arg-type]
        (lambda: Scene(update_s=0), "update_s is 0"),
    ],
)
def test_a_scene_that_cannot_be_is_refused(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(InvalidOption, match=reason):
        make()
