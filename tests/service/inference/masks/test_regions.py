"""Masks of regions, traced, equal those that are pasted pixel by pixel by the rules of their families."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.inference.masks.regions import place_regions, trace_regions
from service.inference.masks.rle import decode_rle, runs_to_rles
from service.types import Extent, Floats, Instances, Mask, Placement, Size

BOXES = st.lists(st.floats(-30, 60, width=32), min_size=4, max_size=4)


def make_instances(boxes: list[list[float]], extent: Extent, seed: int = 0) -> Instances:
    """Random masks of 5 x 7 cells, with a rim of zeros."""
    random = np.random.default_rng(seed)
    count = len(boxes)
    fields = random.uniform(0, 1, (count, 5, 7)).astype(np.float32)
    return Instances(
        classes=np.zeros(count, np.int64),
        scores=np.linspace(1, 0.5, count, dtype=np.float32),
        boxes_xyxy_canvas=np.array(boxes, np.float32).reshape(count, 4),
        mask_fields=np.pad(fields, ((0, 0), (1, 1), (1, 1))),
        mask_level=0.5,
        window="none",
        extent=extent,
    )


def trace(instances: Instances, placement: Placement) -> Mask:
    runs = trace_regions(instances, place_regions(instances, placement), placement.image)
    return np.array([decode_rle(rle) for rle in runs_to_rles(runs)])


def place_slowly(box: list[float], extent: Extent, field: Size) -> list[float]:
    """The region of a field, xyxy, for one box."""
    corners = []
    for axis, cells in enumerate((field.width, field.height)):
        start, end = np.float32(box[axis]), np.float32(box[axis + 2])
        middle, half = (start + end) * np.float32(0.5), (end - start) * np.float32(0.5)
        wider = half * np.float32(cells / (cells - 2))
        first, last = float(middle - wider), float(middle + wider)
        if extent == "pixels":
            first = math.trunc(first)
            last = first + max(math.trunc(last) - first + 1, 1)
        corners.append((first, last))
    return [corner[0] for corner in corners] + [corner[1] for corner in corners]


def blend_slowly(field: Floats, row: float, column: float) -> float:
    """The value between the four nearest cells; beyond the outer ones it is theirs."""
    height, width = field.shape
    row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
    top, left = int(row), int(column)
    below, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = row - top, column - left
    upper = float(field[top, left]) * (1 - across) + float(field[top, right]) * across
    lower = float(field[below, left]) * (1 - across) + float(field[below, right]) * across
    return upper * (1 - down) + lower * down


def paste_slowly(field: Floats, region: list[float], image: Size) -> Mask:
    """One mask, pixel by pixel."""
    x1, y1, x2, y2 = region
    height, width = field.shape
    mask = np.zeros((image.height, image.width), bool)
    for y, x in np.ndindex(mask.shape):
        if x1 <= x + 0.5 < x2 and y1 <= y + 0.5 < y2:
            row = (y + 0.5 - y1) / (y2 - y1) * height - 0.5
            mask[y, x] = blend_slowly(field, row, (x + 0.5 - x1) / (x2 - x1) * width - 0.5) > 0.5
    return mask


@pytest.mark.parametrize("extent", ["box", "pixels"])
@given(boxes=st.lists(BOXES, max_size=3), seed=st.integers(0, 100))
def test_a_traced_mask_is_the_pasted_one(extent: Extent, boxes: list[list[float]], seed: int) -> None:
    image = Size(23, 31)
    instances = make_instances(boxes, extent, seed)
    masks = trace(instances, Placement(image, image, image))
    for mask, field, box in zip(masks, instances.mask_fields, boxes, strict=True):
        expected = paste_slowly(field, place_slowly(box, extent, Size(*field.shape)), image)
        np.testing.assert_array_equal(mask, expected)


def test_torchvision_pastes_whole_pixels() -> None:
    """The lower right pixel of the box belongs to the region, and both corners lose their fraction."""
    instances = make_instances([[10.0, 4.0, 17.0, 9.0]], "pixels")
    image = Size(23, 31)
    regions = place_regions(instances, Placement(image, image, image))
    assert regions.tolist() == [[9, 3, 19, 11]]


def test_a_box_is_placed_in_the_image_before_its_mask_is_pasted() -> None:
    instances = make_instances([[5, 5, 12, 10]], "box")
    placement = Placement(Size(40, 60), Size(20, 40), Size(20, 30), left=5)
    assert place_regions(instances, placement).tolist() == [[-2, 8, 16, 22]]


@pytest.mark.parametrize("extent", ["box", "pixels"])
def test_absurd_boxes_give_masks_of_the_same_kind(extent: Extent) -> None:
    far: list[list[float]] = [
        [-3e38, -3e38, 3e38, 3e38],
        [1e30, 1e30, 1e31, 1e31],
        [-1e9, 3, 1e9, 3],
        [5, 5, -5, -5],
    ]
    masks = trace(make_instances(far, extent), Placement(Size(9, 9), Size(9, 9), Size(9, 9)))
    assert masks.shape == (4, 9, 9)
