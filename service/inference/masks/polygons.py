"""Masks as polygons along the edges of their pixels, exact and with holes; simpler ones within a tolerance.

A mask's border has corners at rows where only one of two neighbouring columns starts or ends a run. On
every vertical line of the grid the corners pair up into edges from top to bottom, on every horizontal line
from left to right. A walk along vertical and horizontal edges in turn gives the rings.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from service.inference.masks.runs import Runs, split_columns, toggles_to_runs
from service.types import Ints, Polygon, Size

Ring: TypeAlias = Ints


@dataclass(frozen=True, slots=True, eq=False)
class Corners:
    """V corners ordered by mask, x and y: those at 2 k and 2 k + 1 are the ends of a vertical edge.

    owners, x, y: int64 [V], image frame. Where two pixels of a mask touch only at a corner, it comes twice.
    ends: int64 [V], 1 where the mask ends, going down, 0 where it starts.
    right: int64 [V], 1 where that is in the column to the right, 0 to the left.
    """

    owners: Ints
    x: Ints
    y: Ints
    ends: Ints
    right: Ints


def runs_to_polygons(runs: Runs) -> tuple[tuple[Ring, ...], ...]:
    """The rings of each mask: int64 [V, 2] each, (x, y), image frame; the last corner is not the first again.

    Outlines run clockwise and holes counter-clockwise, so the even-odd and the non-zero rule fill the same.
    Pixels that touch only at a corner get rings of their own.
    """
    corners = _find_corners(runs)
    tails, heads = _direct_edges(corners)
    edge_at = np.arange(len(corners.x)) // 2
    successors = edge_at[_horizontal_mates(corners)[heads]]
    order, splits = _trace(successors.tolist())
    vertices = np.stack([tails, heads], axis=1)[order].reshape(-1)
    points = np.stack([corners.x[vertices], corners.y[vertices]], axis=1)
    rings = [points[2 * start : 2 * end] for start, end in pairwise(splits)]
    owners = corners.owners[2 * np.array(order, np.int64)[splits[:-1]]]
    places = np.searchsorted(owners, np.arange(len(runs) + 1)).tolist()
    return tuple(tuple(rings[start:end]) for start, end in pairwise(places))


def simplify_polygon(polygon: Polygon, tolerance: float) -> Polygon:
    """The polygon with fewer corners, each of them one of its own, by Douglas and Peucker.

    tolerance: the farthest, in pixels, that a corner that is left out may lie from the new edge.
    A ring that shrinks to a line is left out; the largest ring of a mask then keeps all its corners, so that
    no mask is lost. Raises ImportError without OpenCV.

    >>> simplify_polygon(Polygon(((0, 0, 0, 9, 1, 9, 1, 10, 9, 10, 9, 0),)), 1.5)
    Polygon(rings=((0, 0, 0, 9, 9, 10, 9, 0),))
    """
    try:
        import cv2  # here: the client reads polygons without OpenCV
    except ImportError as error:
        raise ImportError("simpler polygons need OpenCV: pip install opencv-python-headless") from error
    kept: list[tuple[int, ...]] = []
    for ring in polygon.rings:
        corners = np.array(ring, np.int32).reshape(-1, 1, 2)
        simple = cv2.approxPolyDP(corners, tolerance, True)
        if len(simple) > 2:
            kept.append(tuple(map(int, simple.reshape(-1))))
    if kept or not polygon.rings:
        return Polygon(tuple(kept))
    return Polygon((max(polygon.rings, key=measure_ring),))


def measure_ring(ring: tuple[int, ...]) -> float:
    """The area inside a ring in pixels, whichever way the ring turns.

    >>> measure_ring((0, 0, 4, 0, 4, 3, 0, 3))
    12.0
    """
    x, y = np.array(ring, np.float64).reshape(-1, 2).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def polygon_to_runs(polygon: Polygon, image: Size) -> Runs:
    """The runs of one polygon: the pixels whose centres are inside by the even-odd rule.

    In each column of pixels, the mask starts or ends where an edge crosses the line through the centres.
    Raises ValueError where a corner is not in the image.
    """
    columns = [_cross_columns(edge, image) for ring in polygon.rings for edge in _list_edges(ring, image)]
    toggles = np.concatenate([np.zeros(0, np.int64), *columns])
    return toggles_to_runs(np.zeros_like(toggles), toggles, 1, image)


Edge: TypeAlias = tuple[int, int, int, int]  # x, y, x, y of the two ends, image frame


def _cross_columns(edge: Edge, image: Size) -> Ints:
    """The pixels where an edge crosses the centres of columns, counted down the columns: int64 [C]."""
    x, y, to_x, to_y = edge
    columns = np.arange(min(x, to_x), max(x, to_x))
    if y == to_y:
        return columns * image.height + y
    heights = y + (columns + 0.5 - x) * (to_y - y) / (to_x - x) if len(columns) else np.zeros(0)
    return columns * image.height + np.ceil(heights - 0.5).astype(np.int64)


def _list_edges(ring: tuple[int, ...], image: Size) -> Iterator[Edge]:
    """The edges of a ring; raises ValueError where a corner is not in the image."""
    corners = list(zip(ring[::2], ring[1::2], strict=True))
    for (x, y), (to_x, to_y) in pairwise([*corners, *corners[:1]]):
        if not (0 <= x <= image.width and 0 <= y <= image.height):
            raise ValueError(f"the corner {x}, {y} of a polygon is not in {image}")
        yield x, y, to_x, to_y


def _find_corners(runs: Runs) -> Corners:
    """The starts and ends of runs on both sides of their column, without those that both neighbours share."""
    owners, x, starts, stops = split_columns(runs)
    lines, rows = runs.image.width + 1, runs.image.height + 1
    here = (owners * lines + x) * rows
    tops, bottoms = (here + starts) * 4, (here + stops) * 4 + 2
    beyond = rows * 4
    keys = np.concatenate([tops + 1, bottoms + 1, tops + beyond, bottoms + beyond])
    keys.sort()
    twice = keys[1:] >> 1 == keys[:-1] >> 1
    kept = np.ones(len(keys), bool)
    kept[1:][twice] = kept[:-1][twice] = False
    places, kinds = np.divmod(keys[kept], 4)
    columns, y = np.divmod(places, rows)
    owners, x = np.divmod(columns, lines)
    return Corners(owners, x, y, ends=kinds >> 1, right=kinds & 1)


def _direct_edges(corners: Corners) -> tuple[Ints, Ints]:
    """The corners where each vertical edge begins and ends, with the mask on its right hand: int64 [E]."""
    upper = np.arange(0, len(corners.x), 2)
    # Below its upper corner, the mask is on the right if a run starts on the right or ends on the left.
    upwards = corners.right[upper] != corners.ends[upper]
    return np.where(upwards, upper + 1, upper), np.where(upwards, upper, upper + 1)


def _horizontal_mates(corners: Corners) -> Ints:
    """The other end of each corner's horizontal edge: int64 [V]."""
    double = (corners.x[1:] == corners.x[:-1]) & (corners.y[1:] == corners.y[:-1])
    double &= corners.owners[1:] == corners.owners[:-1]
    # Of two corners at one place the first is the end of the edge above. It takes the edge on the left where
    # the mask lies at the upper left and lower right (a run starts on the right), else the edge on the right.
    rank = np.zeros(len(corners.x), np.int64)
    rank[:-1][double] = 1 - corners.right[:-1][double]
    rank[1:][double] = corners.right[:-1][double]
    order = np.lexsort((rank, corners.x, corners.y, corners.owners))
    mates = np.empty_like(order)
    mates[order[0::2]], mates[order[1::2]] = order[1::2], order[0::2]
    return mates


def _trace(successors: list[int]) -> tuple[list[int], list[int]]:
    """The cycles of a permutation, one after the other from the least member of each, and their splits."""
    order: list[int] = []
    splits = [0]
    seen = bytearray(len(successors))
    for first in range(len(successors)):
        if seen[first]:
            continue
        edge = first
        while not seen[edge]:
            seen[edge] = 1
            order.append(edge)
            edge = successors[edge]
        splits.append(len(order))
    return order, splits
