"""The tiles of large pictures: they cover every pixel, overlap enough, and are not too many."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.inference.card import Input
from service.inference.views import OVERLAP, Share, View, find_cut, plan_views
from service.types import Size

CANVAS = Input(height=320, width=480)
sizes = st.builds(Size, st.integers(1, 5000), st.integers(1, 5000))


@given(image=sizes, most=st.integers(1, 40))
def test_tiles_cover_the_image_and_are_at_most_those_asked_for(image: Size, most: int) -> None:
    whole, *tiles = plan_views(image, CANVAS, most)
    assert whole == View(0, 0, image.width, image.height)
    assert len(tiles) <= most
    if tiles:
        covered = np.zeros((image.height, image.width), bool)
        for tile in tiles:
            assert 0 <= tile.left < tile.right <= image.width
            assert 0 <= tile.top < tile.bottom <= image.height
            covered[tile.top : tile.bottom, tile.left : tile.right] = True
        assert covered.all()


@given(image=sizes)
def test_neighbours_share_a_part_of_their_side(image: Size) -> None:
    tiles = plan_views(image, CANVAS, 40)[1:]
    for row in {tile.top for tile in tiles}:
        lefts = [(tile.left, tile.right) for tile in tiles if tile.top == row]
        for (left, right), (next_left, _) in pairwise(lefts):
            assert right - next_left >= OVERLAP * (right - left) - 1


def test_a_tile_of_a_huge_picture_is_as_much_larger_as_needed() -> None:
    tiles = plan_views(Size(6000, 8000), CANVAS, 12)[1:]
    assert 6 <= len(tiles) <= 12
    assert all(tile.size.height > 4 * CANVAS.height for tile in tiles)


@pytest.mark.parametrize("image", [Size(1, 1), Size(320, 480), Size(400, 600), Size(30, 500)])
def test_a_picture_that_fits_the_canvas_nearly_has_no_tiles(image: Size) -> None:
    assert len(plan_views(image, CANVAS, 32)) == 1


def test_a_network_that_takes_pictures_as_they_are_gets_no_tiles() -> None:
    assert len(plan_views(Size(4000, 4000), Input(height=320, width=320, fit="as_is"), 32)) == 1


@given(count=st.integers(1, 9))
def test_shares_divide_the_views_among_them(count: int) -> None:
    views = plan_views(Size(2000, 3000), CANVAS, 32)
    shares = [Share(index, count).choose(views) for index in range(count)]
    assert sorted((view for share in shares for view in share), key=views.index) == list(views)


def test_an_object_is_cut_where_it_reaches_an_edge_inside_the_image() -> None:
    image, view = Size(100, 300), [100, 0, 200, 100]
    boxes = np.array(
        [[100, 10, 150, 50], [130, 0, 160, 100], [150, 10, 200, 50], [110, 5, 190, 95]], np.float32
    )
    cut = find_cut(np.array(boxes, np.float32), np.array([view] * 4), image)
    assert cut.tolist() == [True, False, True, False]
