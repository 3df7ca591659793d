"""Points, polygons and lines in the image frame, where y points down."""

import math
from collections.abc import Iterator, Sequence

from service.events.scene import Point


def is_inside(corners: Sequence[Point], point: Point) -> bool:
    """True where the point is in the polygon, by the even-odd rule.

    >>> square = [(0, 0), (4, 0), (4, 4), (0, 4)]
    >>> is_inside(square, (1, 3)), is_inside(square, (5, 3))
    (True, False)
    """
    x, y = point
    crossed = (
        x < left + (y - top) * (right - left) / (bottom - top)
        for (left, top), (right, bottom) in _edges(corners)
        if (top > y) != (bottom > y)
    )
    return sum(crossed) % 2 == 1


def distance_to_outline(corners: Sequence[Point], point: Point) -> float:
    """Pixels from a point to the nearest edge of a polygon.

    >>> distance_to_outline([(0, 0), (4, 0), (4, 4), (0, 4)], (1, 2))
    1.0
    """
    return min(_distance_to_edge(start, end, point) for start, end in _edges(corners))


def measure_side(start: Point, end: Point, point: Point) -> float:
    """Pixels from a point to the endless line: above 0 on its right, for who looks from start to end.

    >>> measure_side((0, 0), (10, 0), (5, 3))
    3.0
    """
    return _turn(start, end, point) / math.dist(start, end)


def do_cross(first: tuple[Point, Point], second: tuple[Point, Point]) -> bool:
    """True where two lines have a point in common.

    >>> do_cross(((0, 0), (4, 4)), ((0, 4), (4, 0))), do_cross(((0, 0), (4, 4)), ((5, 0), (9, 0)))
    (True, False)
    """
    return _separates(first, second) and _separates(second, first)


def _separates(line: tuple[Point, Point], ends: tuple[Point, Point]) -> bool:
    """True where the ends are not both on one side of the endless line."""
    return _turn(*line, ends[0]) * _turn(*line, ends[1]) <= 0


def _edges(corners: Sequence[Point]) -> Iterator[tuple[Point, Point]]:
    return zip(corners, (*corners[1:], corners[0]), strict=True)


def _turn(start: Point, end: Point, point: Point) -> float:
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])


def _distance_to_edge(start: Point, end: Point, point: Point) -> float:
    across, down = end[0] - start[0], end[1] - start[1]
    length = across**2 + down**2
    along = ((point[0] - start[0]) * across + (point[1] - start[1]) * down) / length if length else 0.0
    share = min(max(along, 0.0), 1.0)
    return math.dist(point, (start[0] + share * across, start[1] + share * down))
