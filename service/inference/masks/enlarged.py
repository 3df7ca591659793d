"""Masks of YOLO: the field is enlarged, its padding is cut off, and the rest covers the image.

Ultralytics interpolates twice (`retina_masks`): a field is enlarged by 1, 2 or 4 until the padding of the
letterbox is a whole number of samples, and the part without padding is then interpolated at the image's
pixels. One interpolation instead of two gives other masks where a field is rough. Only the samples around the
window of an instance are computed here, and the mask is traced among them without being drawn.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from service.inference.masks.grid import Doubles
from service.inference.masks.regions import trace_region
from service.inference.masks.runs import Runs, toggles_to_runs, trace_runs
from service.types import Floats, Instances, Ints, Placement, Size


@dataclass(frozen=True, slots=True)
class Content:
    """The part of an enlarged field between the padding, in its samples.

    steps: samples of the enlarged field per sample of the field, each way.
    """

    steps: int
    left: int
    top: int
    size: Size


def find_content(placement: Placement, field: Size) -> Content | None:
    """The part of the enlarged field that shows the image; None where no enlargement gives whole samples.

    >>> placement = Placement(Size(1003, 1501), Size(640, 640), Size(428, 640), top=106)
    >>> find_content(placement, Size(160, 160))
    Content(steps=2, left=0, top=53, size=Size(height=214, width=320))
    """
    canvas, placed = placement.canvas, placement.placed
    stride = canvas.width // field.width  # canvas pixels per sample
    if (canvas.height, canvas.width) != (field.height * stride, field.width * stride):
        return None
    pads = canvas.height - placed.height, canvas.width - placed.width
    lengths = (*pads, pads[0] // 2, pads[1] // 2, placement.left, placement.top)
    for steps in (1, 2, 4, 8):
        if stride % steps == 0 and all(length * steps % stride == 0 for length in lengths):
            size = Size(placed.height * steps // stride, placed.width * steps // stride)
            return Content(steps, placement.left * steps // stride, placement.top * steps // stride, size)
    return None


def trace_enlarged(instances: Instances, placement: Placement, windows: Ints) -> Runs:
    """The runs of the masks within windows: int64 [N, 4] xyxy, image frame."""
    content = find_content(placement, Size(*instances.mask_fields.shape[1:]))
    if content is None:
        return trace_runs(instances, placement, windows)
    owners, toggles = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for index, window in enumerate(windows):
        if window[0] < window[2]:
            x, y = _trace_one(instances.keep(np.array([index])), content, placement.image, window)
            owners.append(np.full(len(x), index))
            toggles.append(x * placement.image.height + y)
    return toggles_to_runs(np.concatenate(owners), np.concatenate(toggles), len(instances), placement.image)


def _trace_one(instance: Instances, content: Content, image: Size, window: Ints) -> tuple[Ints, Ints]:
    """x and y of each change down the columns of one mask: int64 [C] each, image frame."""
    x1, y1, x2, y2 = window.tolist()
    across, down = content.size.width / image.width, content.size.height / image.height
    first_column, last_column = _cut(x1, x2, across, content.size.width)
    first_row, last_row = _cut(y1, y2, down, content.size.height)
    (field,) = instance.mask_fields
    rows = _enlarge(field, content.top + first_row, content.top + last_row, content.steps)
    samples = _enlarge(rows.T, content.left + first_column, content.left + last_column, content.steps).T
    region = np.array(
        [first_column / across, first_row / down, (last_column + 1) / across, (last_row + 1) / down]
    )
    return trace_region(replace(instance, mask_fields=samples[None]), region, window)


def _cut(first: int, end: int, pitch: float, count: int) -> tuple[int, int]:
    """The first and the last of `count` samples that the pixels from `first` to before `end` lie between.

    >>> _cut(0, 4, 0.5, 8), _cut(9, 16, 0.5, 8)
    ((0, 2), (4, 7))
    """
    low = math.floor((first + 0.5) * pitch - 0.5)
    high = math.floor((end - 0.5) * pitch - 0.5) + 1
    return min(max(low, 0), count - 1), min(max(high, 0), count - 1)


def _enlarge(samples: Floats, first: int, last: int, steps: int) -> Floats:
    """The rows `first` to `last` of a field with `steps` times the rows: float32 [last - first + 1, w].

    >>> _enlarge(np.array([[0], [4]], np.float32), 0, 3, 2).ravel().tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    at: Doubles = np.clip((np.arange(first, last + 1) + 0.5) / steps - 0.5, 0, len(samples) - 1)
    below = at.astype(np.int64)
    weights = (at - below).astype(np.float32)[:, None]
    above = np.minimum(below + 1, len(samples) - 1)
    enlarged: Floats = samples[below] * (1 - weights) + samples[above] * weights
    return enlarged
