"""Runs found without rasterising, against the pixels of `raster`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.inference.masks.runs import (
    Runs,
    cancel_pairs,
    enclose_runs,
    enlarge_runs,
    find_runs,
    toggles_to_runs,
)
from service.types import Instances, Mask, Placement, Size
from tests.service.inference.masks.raster import rasterise

Scene = tuple[Instances, Placement]


def paint(runs: Runs) -> Mask:
    masks = np.zeros((len(runs), runs.image.pixels), bool)
    for owner, (start, end) in zip(runs.owners, runs.bounds, strict=True):
        masks[owner, start:end] = True
    return masks.reshape(len(runs), runs.image.width, runs.image.height).transpose(0, 2, 1)


def place_whole(image: Size, canvas: Size) -> Placement:
    return Placement(image, canvas, placed=canvas)


def lone_instance(field: list[list[float]], box: list[float], level: float = 0.0) -> Instances:
    return Instances(
        classes=np.zeros(1, np.int64),
        scores=np.ones(1, np.float32),
        boxes_xyxy_canvas=np.array([box], np.float32),
        mask_fields=np.array([field], np.float32),
        mask_level=level,
    )


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_runs_cover_exactly_the_rasterised_pixels(
    data: st.DataObject, scenes: st.SearchStrategy[Scene]
) -> None:
    instances, placement = data.draw(scenes)
    runs, masks = find_runs(instances, placement), rasterise(instances, placement)
    assert (paint(runs) == masks).all()
    assert runs.areas().tolist() == masks.sum(axis=(1, 2)).tolist()


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_runs_ascend_and_never_touch(data: st.DataObject, scenes: st.SearchStrategy[Scene]) -> None:
    runs = find_runs(*data.draw(scenes))
    for start, end in zip(runs.splits, runs.splits[1:], strict=False):
        assert (np.diff(runs.bounds[start:end].reshape(-1)) > 0).all()


def test_a_value_that_equals_the_level_is_outside() -> None:
    # Columns of pixels at 1, 0.5, 0, -0.5, -1, twice as dense as the samples.
    instances = lone_instance([[1.0], [0.0], [-1.0]], [0, 0, 1, 3])
    runs = find_runs(instances, place_whole(Size(6, 1), Size(3, 1)))
    assert paint(runs)[0, :, 0].tolist() == [True, True, True, False, False, False]
    tie = find_runs(instances, place_whole(Size(3, 1), Size(3, 1)))
    assert paint(tie)[0, :, 0].tolist() == [True, False, False]


@pytest.mark.parametrize("pixels", [3, 4, 5, 6, 9, 10])
@pytest.mark.parametrize("ends", [(1, -1), (1, -3), (0.1, -0.3), (0.3, -0.1), (0.7, -2.1), (1e-3, -9e-3)])
def test_a_border_at_a_pixels_centre_is_settled_by_that_pixel(ends: tuple[float, float], pixels: int) -> None:
    for upper, lower in (ends, ends[::-1]):
        instances = lone_instance([[upper], [lower]], [0, 0, 1, 2])
        placement = place_whole(Size(pixels, 1), Size(2, 1))
        expected = rasterise(instances, placement)
        assert (paint(find_runs(instances, placement)) == expected).all()


def test_the_level_moves_the_border() -> None:
    instances = lone_instance([[1.0], [0.0]], [0, 0, 1, 2], level=0.7)
    assert find_runs(instances, place_whole(Size(8, 1), Size(2, 1))).areas().tolist() == [3]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0, 0, 4, 4], 16),
        ([-9, -9, 99, 99], 16),
        ([1, 1, 2, 2], 1),
        ([1.5, 1.5, 2.5, 2.5], 1),
        ([1.6, 1.6, 2.4, 2.4], 0),
        ([3, 3, 2, 2], 0),
        ([-3, 0, 0, 4], 0),
        ([4, 0, 9, 4], 0),
        ([0, 2, 4, 4], 8),
        ([float("nan"), 0, 4, 4], 0),
    ],
)
def test_boxes_clip_a_full_mask_to_the_pixels_whose_centres_they_hold(
    box: list[float], expected: int
) -> None:
    instances = lone_instance([[1.0, 1.0], [1.0, 1.0]], box)
    assert find_runs(instances, place_whole(Size(4, 4), Size(4, 4))).areas().tolist() == [expected]


def test_a_full_mask_is_one_run() -> None:
    instances = lone_instance([[1.0]], [0, 0, 5, 7])
    assert find_runs(instances, place_whole(Size(7, 5), Size(7, 5))).bounds.tolist() == [[0, 35]]


def test_a_field_one_sample_wide_has_no_patches_outside_the_window() -> None:
    instances = lone_instance([[-2.0], [1.0], [1.0], [-2.0], [-2.0]], [0, 0, 1, 1])
    assert find_runs(instances, place_whole(Size(1, 1), Size(1, 1))).areas().tolist() == [1]


def test_the_padding_of_the_canvas_is_no_part_of_the_image() -> None:
    below_the_image = lone_instance([[-1.0], [-1.0], [-1.0], [1.0]], [0, 0, 4, 16])
    placement = Placement(Size(8, 4), Size(16, 4), placed=Size(8, 4))
    assert find_runs(below_the_image, placement).areas().tolist() == [0]


@given(data=st.data())
def test_an_extent_is_that_of_the_painted_mask(data: st.DataObject, scenes: st.SearchStrategy[Scene]) -> None:
    runs = find_runs(*data.draw(scenes))
    for mask, extent in zip(paint(runs), enclose_runs(runs).tolist(), strict=True):
        rows, columns = mask.nonzero()
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else [0] * 4
        assert extent == expected


@given(data=st.data(), height=st.integers(1, 70), width=st.integers(1, 70))
def test_enlarged_masks_take_the_pixel_of_their_place(
    data: st.DataObject, scenes: st.SearchStrategy[Scene], height: int, width: int
) -> None:
    runs = find_runs(*data.draw(scenes))
    rows = [row * runs.image.height // height for row in range(height)]
    columns = [column * runs.image.width // width for column in range(width)]
    enlarged = paint(enlarge_runs(runs, Size(height, width)))
    np.testing.assert_array_equal(enlarged, paint(runs)[:, rows][:, :, columns])


@given(st.lists(st.integers(0, 12)))
def test_pairs_cancel_like_bits(numbers: list[int]) -> None:
    kept = [number for number in range(13) if numbers.count(number) % 2]
    assert cancel_pairs(np.sort(np.array(numbers, np.int64))).tolist() == kept


def test_huge_images_need_no_32_bit_positions() -> None:
    image = Size(60_000, 60_000)
    runs = toggles_to_runs(np.array([0, 1, 0, 1]), np.array([5, image.pixels, 9, image.pixels - 2]), 2, image)
    assert runs.bounds.tolist() == [[5, 9], [image.pixels - 2, image.pixels]]
    assert runs.splits.tolist() == [0, 1, 2]


def test_bounds_and_splits_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Runs(Size(2, 2), np.array([[0, 1]]), np.array([0, 2]))


def test_chosen_masks_keep_their_runs_in_the_order_wanted() -> None:
    runs = Runs(Size(4, 4), np.array([[0, 1], [2, 3], [5, 7], [8, 9]]), np.array([0, 2, 2, 3, 4]))
    kept = runs.keep(np.array([3, 1, 0]))
    assert kept.bounds.tolist() == [[8, 9], [0, 1], [2, 3]]
    assert kept.splits.tolist() == [0, 1, 1, 3]
    assert len(runs.keep(np.zeros(0, np.int64))) == 0
