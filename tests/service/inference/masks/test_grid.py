"""The positions of pixels between samples, computed once for images of one size."""

import numpy as np
import pytest

from service.inference.masks.grid import Grid, place_grid
from service.types import Placement, Size

FIELD = Size(8, 8)


def place(image: Size) -> Grid:
    canvas = Size(32, 32)
    return place_grid(Placement(image, canvas, placed=canvas), FIELD)


def test_pictures_of_one_size_share_their_grid() -> None:
    assert place(Size(30, 41)) is place(Size(30, 41))
    assert place(Size(30, 41)) is not place(Size(41, 30))


def test_nothing_is_kept_of_a_picture_that_is_too_long_to_be_common() -> None:
    long = Size(1, 1_000_000)
    assert place(long) is not place(long)


def test_each_axis_has_its_own_scale() -> None:
    grid = place_grid(Placement(Size(3, 1000), Size(64, 96), placed=Size(1, 96)), Size(16, 24))
    assert (grid.rows.pitch, grid.columns.pitch) == pytest.approx((1 / 3 / 4, 0.096 / 4))


def test_what_is_shared_cannot_be_written_to() -> None:
    columns = place(Size(30, 41)).columns
    for array in (columns.below, columns.weights, columns.first_pixels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize("image", [Size(1, 1), Size(3, 5), Size(30, 41), Size(500, 7)])
def test_first_pixels_are_where_the_sample_below_changes(image: Size) -> None:
    for axis in (place(image).rows, place(image).columns):
        expected = [int((axis.below < sample).sum()) for sample in range(axis.samples + 1)]
        assert axis.first_pixels.tolist() == expected
        assert (np.diff(axis.below) >= 0).all()
