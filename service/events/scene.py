"""The parts of a picture to watch: zones, lines, areas to ignore, and the objects that count.

The client package carries this module too, so it imports nothing but errors and types.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from service.errors import InvalidOption, shorten
from service.types import Instance, Size

Point: TypeAlias = tuple[float, float]
"""x, y"""
Unit: TypeAlias = Literal["shares", "pixels"]
Anchor: TypeAlias = Literal["bottom", "centre"]
Direction: TypeAlias = Literal["in", "out"]

MOST_PLACES, MOST_CORNERS, MOST_NAME = 64, 100, 64


@dataclass(frozen=True, slots=True)
class Zone:
    """A named polygon; raises InvalidOption where it is none.

    corners: x, y in shares of the picture's width and height, or in pixels of the image frame.
    classes: the labels that can enter; None: all.
    min_s: an object has entered when it has been inside for so many seconds.
    """

    name: str
    corners: tuple[Point, ...]
    unit: Unit = "shares"
    classes: tuple[str, ...] | None = None
    min_s: float = 0.0

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_polygon(self.corners, self.unit, f"zone {self.name}")
        _check_amount(self.min_s, f"min_s of zone {self.name}")


@dataclass(frozen=True, slots=True)
class Line:
    """A named line from `start` to `end`; raises InvalidOption where the two are one point.

    Someone who stands at the start and looks to the end sees objects cross "in" from left to right, and "out"
    from right to left.

    direction: the crossings that are reported; None: both. unit, classes: as those of a zone.
    """

    name: str
    start: Point
    end: Point
    unit: Unit = "shares"
    direction: Direction | None = None
    classes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_points((self.start, self.end), self.unit, f"line {self.name}")
        if self.start == self.end:
            raise InvalidOption(f"line {self.name} begins and ends at one point; give two different points")
        if self.direction is not None and self.direction not in get_args(Direction):
            raise InvalidOption(f"direction of line {self.name} is {self.direction!r}, expected in or out")


@dataclass(frozen=True, slots=True)
class Area:
    """A polygon in which objects are ignored; raises InvalidOption where it is none."""

    corners: tuple[Point, ...]
    unit: Unit = "shares"

    def __post_init__(self) -> None:
        _check_polygon(self.corners, self.unit, "the area to ignore")


@dataclass(frozen=True, slots=True)
class Limits:
    """The objects of a class that count: those that were once so large, and have been in sight for so long.

    label: None: of all classes that have no limits of their own.
    min_area: a share of the picture's area, or pixels. min_s: seconds.
    """

    label: str | None = None
    min_area: float = 0.0
    unit: Unit = "shares"
    min_s: float = 0.0

    def __post_init__(self) -> None:
        of = self.label or "all classes"
        _check_unit(self.unit, f"the limits of {of}")
        _check_amount(self.min_area, f"min_area of {of}")
        _check_amount(self.min_s, f"min_s of {of}")
        if self.unit == "shares" and self.min_area > 1:
            raise InvalidOption(f"min_area of {of} is {self.min_area:g}, expected a share from 0 to 1")

    def area_in_pixels(self, image: Size) -> float:
        """The smallest area of an object that counts, in pixels."""
        return self.min_area * (image.pixels if self.unit == "shares" else 1)


@dataclass(frozen=True, slots=True)
class Scene:
    """The places to watch, and the limits of what counts.

    Raises InvalidOption where two names are the same, or too many places are given.

    anchor: the point that stands for an object: the middle of its box's lower edge, where it stands on the
        ground, or the middle of its box.
    update_s: seconds between two events "updated" of one object; None: only where its label changes.
    """

    zones: tuple[Zone, ...] = ()
    lines: tuple[Line, ...] = ()
    ignored: tuple[Area, ...] = ()
    limits: tuple[Limits, ...] = ()
    anchor: Anchor = "bottom"
    update_s: float | None = None

    def __post_init__(self) -> None:
        names = [zone.name for zone in self.zones] + [line.name for line in self.lines]
        _check_unique(names, "zones and lines")
        _check_unique([limits.label or "all classes" for limits in self.limits], "limits")
        if len(self.zones) + len(self.lines) + len(self.ignored) > MOST_PLACES:
            raise InvalidOption(f"a scene has at most {MOST_PLACES} zones, lines and areas to ignore")
        if self.anchor not in get_args(Anchor):
            raise InvalidOption(f"anchor is {self.anchor!r}, expected {' or '.join(get_args(Anchor))}")
        if self.update_s is not None and not 0 < self.update_s < math.inf:
            raise InvalidOption(f"update_s is {self.update_s:g}, expected a number above 0")

    def limits_of(self, label: str) -> Limits:
        """The limits of a class."""
        known = {limits.label: limits for limits in self.limits}
        return known.get(label) or known.get(None) or Limits()

    def anchor_of(self, instance: Instance) -> Point:
        """The point that stands for an instance, image frame."""
        x, y, width, height = instance.bbox
        return x + width / 2, y + height / (1 if self.anchor == "bottom" else 2)


def points_in_pixels(points: Iterable[Point], unit: Unit, image: Size) -> tuple[Point, ...]:
    """The points in the image frame.

    >>> points_in_pixels([(0.5, 1.0)], "shares", Size(100, 200))
    ((100.0, 100.0),)
    """
    across, down = (image.width, image.height) if unit == "shares" else (1, 1)
    return tuple((x * across, y * down) for x, y in points)


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= MOST_NAME or not name.isprintable():
        raise InvalidOption(
            f"the name {shorten(name, 40)!r} cannot be used: a zone or line needs a name of 1 to {MOST_NAME} "
            "printable characters"
        )


def _check_unique(names: list[str], what: str) -> None:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise InvalidOption(f"{what}: {twice[0]!r} is given twice; give each a name of its own")


def _check_polygon(corners: tuple[Point, ...], unit: Unit, what: str) -> None:
    _check_points(corners, unit, what)
    if not 3 <= len(corners) <= MOST_CORNERS:
        raise InvalidOption(f"{what} has {len(corners)} corners, expected 3 to {MOST_CORNERS}")
    (x, y), *others = corners
    spans = [(right - x, down - y) for right, down in others]
    if all(math.isclose(a * spans[0][1], b * spans[0][0], abs_tol=1e-12) for a, b in spans):
        raise InvalidOption(f"{what} has all its corners on one straight line")


def _check_points(points: tuple[Point, ...], unit: Unit, what: str) -> None:
    _check_unit(unit, what)
    values = [value for point in points for value in point]
    if not all(map(math.isfinite, values)):
        raise InvalidOption(f"{what} has a coordinate that is not a finite number")
    if unit == "shares" and not all(0 <= value <= 1 for value in values):
        raise InvalidOption(f"{what} has a coordinate outside 0 to 1; give shares of the picture, or pixels")


def _check_unit(unit: str, what: str) -> None:
    if unit not in get_args(Unit):
        raise InvalidOption(f"the unit of {what} is {unit!r}, expected {' or '.join(get_args(Unit))}")


def _check_amount(value: float, what: str) -> None:
    if not 0 <= value < math.inf:
        raise InvalidOption(f"{what} is {value:g}, expected a number of at least 0")
