"""Polygons, filled again by another program's rules."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.inference.masks.forms import form_to_mask
from service.inference.masks.polygons import Ring, runs_to_polygons, simplify_polygon
from service.inference.masks.rle import rles_to_runs
from service.inference.masks.runs import Runs, find_runs
from service.types import Instances, Mask, Placement, Polygon, Rle, Size
from tests.service.inference.masks.raster import rasterise

Scene = tuple[Instances, Placement]


def fill_even_odd(rings: tuple[Ring, ...], image: Size) -> Mask:
    """Every vertical edge flips all that is to its right."""
    mask = np.zeros((image.height, image.width), bool)
    for ring in rings:
        for (x, y), (_, to_y) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            mask[min(y, to_y) : max(y, to_y), x:] ^= True
    return mask


def wind(rings: tuple[Ring, ...], image: Size) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """The winding number of the rings around each pixel, clockwise positive."""
    turns = np.zeros((image.height, image.width), np.int64)
    for ring in rings:
        for (x, y), (_, to_y) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            turns[min(y, to_y) : max(y, to_y), x:] += np.sign(y - to_y)
    return turns


def runs_of(rows: list[str]) -> Runs:
    """'#' is inside."""
    mask = np.array([list(row) for row in rows]) == "#"
    flat = np.concatenate([[False], mask.T.reshape(-1), [False]])
    bounds = np.flatnonzero(flat[1:] != flat[:-1]).reshape(-1, 2)
    return Runs(Size(*mask.shape), bounds, np.array([0, len(bounds)]))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_rings_fill_to_the_rasterised_mask(data: st.DataObject, scenes: st.SearchStrategy[Scene]) -> None:
    instances, placement = data.draw(scenes)
    polygons = runs_to_polygons(find_runs(instances, placement))
    masks = rasterise(instances, placement)
    assert len(polygons) == len(masks)
    for rings, mask in zip(polygons, masks, strict=True):
        assert (fill_even_odd(rings, placement.image) == mask).all()
        assert (wind(rings, placement.image) == mask).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("#.", min_size=6, max_size=6), min_size=1, max_size=6))
def test_any_pixels_come_back_from_rings_that_turn_at_every_corner(rows: list[str]) -> None:
    runs = runs_of(rows)
    (rings,) = runs_to_polygons(runs)
    assert (wind(rings, runs.image) == (np.array([list(row) for row in rows]) == "#")).all()
    for ring in rings:
        steps = np.roll(ring, -1, axis=0) - ring
        assert (np.count_nonzero(steps, axis=1) == 1).all()
        assert (steps[0::2, 0] == 0).all()
        assert (steps[1::2, 1] == 0).all()
        assert max(Counter(map(tuple, ring.tolist())).values()) <= 2


def test_a_pixel_is_a_square() -> None:
    ((ring,),) = runs_to_polygons(runs_of(["...", ".#."]))
    assert ring.tolist() == [[1, 2], [1, 1], [2, 1], [2, 2]]


def test_a_hole_is_a_ring_of_its_own_after_its_outline() -> None:
    ((outline, hole),) = runs_to_polygons(runs_of(["####", "#..#", "####"]))
    assert sorted(map(tuple, outline.tolist())) == [(0, 0), (0, 3), (4, 0), (4, 3)]
    assert sorted(map(tuple, hole.tolist())) == [(1, 1), (1, 2), (3, 1), (3, 2)]


@pytest.mark.parametrize("rows", [["#.", ".#"], [".#", "#."]])
def test_pixels_that_touch_at_a_corner_are_apart(rows: list[str]) -> None:
    (rings,) = runs_to_polygons(runs_of(rows))
    assert [len(ring) for ring in rings] == [4, 4]


def test_a_full_image_is_one_rectangle_though_its_run_spans_columns() -> None:
    ((ring,),) = runs_to_polygons(runs_of(["###", "###"]))
    assert len(ring) == 4


def test_no_masks_and_empty_masks_have_no_rings() -> None:
    image = Size(3, 3)
    assert runs_to_polygons(rles_to_runs([], image)) == ()
    assert runs_to_polygons(rles_to_runs([Rle(image, "9"), Rle(image, "9")], image)) == ((), ())


@pytest.mark.parametrize("tolerance", [0.0, 0.8, 1.0, 3.0])
def test_a_contour_keeps_within_its_tolerance_with_fewer_corners(tolerance: float) -> None:
    image = Size(120, 100)
    disc = np.hypot(*(np.indices((120, 100)) - 50)) < 40.2
    (exact,) = _polygons_of(disc)
    simple = simplify_polygon(exact, tolerance)
    (ring,) = simple.rings
    assert set(zip(ring[::2], ring[1::2], strict=True)) <= set(
        zip(exact.rings[0][::2], exact.rings[0][1::2], strict=True)
    )
    assert len(ring) < len(exact.rings[0]) or tolerance < 0.8
    differing = form_to_mask(simple, image) != disc
    edge = np.abs(np.hypot(*(np.indices((120, 100)) - 50)) - 40.2)
    assert edge[differing].max(initial=0) <= tolerance + 1.5  # the staircase and the pixel's centre


def test_a_mask_of_a_few_pixels_keeps_its_outline_at_any_tolerance() -> None:
    dots = np.zeros((20, 20), bool)
    dots[3, 4] = dots[10:12, 10:13] = True
    (exact,) = _polygons_of(dots)
    simple = simplify_polygon(exact, 50)
    assert form_to_mask(simple, Size(20, 20)).sum() == 6  # the larger of the two
    assert simplify_polygon(Polygon(()), 1) == Polygon(())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9)), min_size=3, max_size=8))
def test_any_polygon_fills_the_pixels_whose_centres_are_inside(corners: list[tuple[int, int]]) -> None:
    image = Size(9, 12)
    mask = form_to_mask(Polygon((tuple(value for corner in corners for value in corner),)), image)
    for y, x in np.ndindex(9, 12):
        assert mask[y, x] == is_inside(x + 0.5, y + 0.5, corners) or is_on_an_edge(x + 0.5, y + 0.5, corners)


def is_inside(x: float, y: float, corners: list[tuple[int, int]]) -> bool:
    """The even-odd rule, by a ray upwards."""
    inside = False
    for (ax, ay), (bx, by) in pairwise([*corners, corners[0]]):
        if (ax > x) != (bx > x) and ay + (x - ax) * (by - ay) / (bx - ax) <= y:
            inside = not inside
    return inside


def is_on_an_edge(x: float, y: float, corners: list[tuple[int, int]]) -> bool:
    """Whether an edge goes through the point, where either answer is right."""
    return any(
        (ax > x) != (bx > x) and abs(ay + (x - ax) * (by - ay) / (bx - ax) - y) < 1e-9
        for (ax, ay), (bx, by) in pairwise([*corners, corners[0]])
    )


def _polygons_of(mask: Mask) -> list[Polygon]:
    runs = runs_of(["".join("#" if inside else "." for inside in row) for row in mask])
    return [
        Polygon(tuple(tuple(ring.reshape(-1).tolist()) for ring in rings)) for rings in runs_to_polygons(runs)
    ]
