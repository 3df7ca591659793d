"""Masks whose fields cover a region of the image each, as those of Mask R-CNN do, and not the whole canvas.

Each region is traced as a picture of its own that its field covers, and the runs are moved to their place in
the image. So these masks, too, are found without drawing them.
"""

import numpy as np

from service.inference.masks.crossings import find_crossings, find_patches
from service.inference.masks.grid import Doubles, Grid, boxes_to_windows, place_axis
from service.inference.masks.runs import Runs, toggles_to_runs
from service.types import Instances, Ints, Placement, Size

_FAR = 1e6  # pixels, beyond the edges of every image: a region never needs to reach farther


def place_regions(instances: Instances, placement: Placement) -> Doubles:
    """The regions that the fields cover: float64 [N, 4] xyxy, half-open, image frame.

    A field has one cell more on each side than its box. With `pixels` a region has whole pixels, as
    torchvision pastes masks: both corners lose their fraction, and the lower right pixel is a part of it.
    """
    boxes_xyxy = np.clip(placement.boxes_to_image(instances.boxes_xyxy_canvas), -_FAR, _FAR)
    _, height, width = instances.mask_fields.shape
    wider = np.array([width / (width - 2), height / (height - 2)], np.float32)
    centres = (boxes_xyxy[:, 2:] + boxes_xyxy[:, :2]) * np.float32(0.5)
    halves = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]) * np.float32(0.5) * wider
    regions = np.hstack([centres - halves, centres + halves]).astype(np.float64)
    if instances.extent == "pixels":
        regions = np.trunc(regions)
        regions[:, 2:] = np.maximum(regions[:, 2:], regions[:, :2]) + 1
    return regions


def trace_regions(instances: Instances, regions_xyxy: Doubles, image: Size) -> Runs:
    """The runs of masks whose fields cover regions: float64 [N, 4] xyxy, half-open, image frame.

    A pixel belongs to a mask where its centre lies in the region and the field, interpolated there, exceeds
    the level.
    """
    windows = boxes_to_windows(regions_xyxy, image)
    changes = [
        trace_region(instances.keep(np.array([index])), region, window)
        for index, (region, window) in enumerate(zip(regions_xyxy, windows, strict=True))
    ]
    owners = np.repeat(np.arange(len(instances)), [len(x) for x, _ in changes])
    toggles = [x * image.height + y for x, y in changes]
    return toggles_to_runs(owners, np.concatenate([np.zeros(0, np.int64), *toggles]), len(instances), image)


def trace_region(instance: Instances, region_xyxy: Doubles, window: Ints) -> tuple[Ints, Ints]:
    """x and y of each change down the columns of one mask: int64 [C] each, image frame."""
    x1, y1, x2, y2 = window.tolist()
    if x1 == x2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    left, top, right, bottom = region_xyxy.tolist()
    across, down = (
        instance.mask_fields.shape[2] / (right - left),
        instance.mask_fields.shape[1] / (bottom - top),
    )
    grid = Grid(
        rows=place_axis(y2 - y1, down, (y1 - top) * down, instance.mask_fields.shape[1]),
        columns=place_axis(x2 - x1, across, (x1 - left) * across, instance.mask_fields.shape[2]),
    )
    _, x, y = find_crossings(find_patches(instance, grid, np.array([[0, 0, x2 - x1, y2 - y1]])), grid)
    return x + x1, y + y1
