"""Masks in their windows, against the part of the whole mask."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.inference.masks.crops import runs_to_crops
from service.inference.masks.grid import boxes_to_windows
from service.inference.masks.rle import decode_rle
from service.inference.masks.runs import Runs, find_runs
from service.types import Instances, Placement, Size
from tests.service.inference.masks.raster import rasterise

Scene = tuple[Instances, Placement]


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_crops_are_the_windows_of_the_masks(data: st.DataObject, scenes: st.SearchStrategy[Scene]) -> None:
    instances, placement = data.draw(scenes)
    windows = boxes_to_windows(placement.boxes_to_image(instances.boxes_xyxy_canvas), placement.image)
    crops = runs_to_crops(find_runs(instances, placement), windows)
    masks = rasterise(instances, placement)
    for crop, mask, (x1, y1, x2, y2) in zip(crops, masks, windows, strict=True):
        assert (crop.x, crop.y) == (x1, y1)
        size = crop.rle.size
        assert (size.height, size.width) == (max(y2 - y1, 1), max(x2 - x1, 1))
        assert (decode_rle(crop.rle) == mask[y1 : y1 + size.height, x1 : x1 + size.width]).all()


def test_columns_that_touch_in_the_window_are_one_run() -> None:
    runs = Runs(Size(10, 10), np.array([[23, 27], [33, 37]]), np.array([0, 2]))
    (crop,) = runs_to_crops(runs, np.array([[2, 3, 4, 7]]))
    assert crop.rle.counts == "08"
    assert crop.rle.size == Size(4, 2)


def test_an_empty_window_gives_an_empty_pixel() -> None:
    runs = Runs(Size(10, 10), np.zeros((0, 2), np.int64), np.array([0, 0]))
    (crop,) = runs_to_crops(runs, np.zeros((1, 4), np.int64))
    assert decode_rle(crop.rle).tolist() == [[False]]
