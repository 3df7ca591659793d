"""Polygons, filled again by another program's rules."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.inference.masks.polygons import Ring, runs_to_polygons
from service.inference.masks.rle import rles_to_runs
from service.inference.masks.runs import Runs, find_runs
from service.types import Instances, Mask, Placement, Rle, Size
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
