"""Masks as pixels, all of them drawn: the exact definition that the service's faster paths are compared with.

All arithmetic is float64, horizontal before vertical, each blend as `a * (1 - t) + b * t`: where the two ends
share a sign that form keeps it, and elsewhere it is monotone in t, so that run lengths can be solved for and
agree with the pixels to the last bit. A value that equals the level is outside; a NaN is outside wherever it
has weight.
"""

import numpy as np

from service.inference.masks.crossings import excess
from service.inference.masks.grid import Axis, Doubles, Grid, place_grid, place_windows
from service.types import Instances, Ints, Mask, Placement, Size


def rasterise(instances: Instances, placement: Placement) -> Mask:
    """The masks of all instances: bool [N, H, W], image frame."""
    grid = place_grid(placement, Size(*instances.mask_fields.shape[1:]))
    windows = place_windows(instances, placement)
    masks = np.zeros((len(instances), placement.image.height, placement.image.width), bool)
    for mask, field, window in zip(masks, instances.mask_fields, windows, strict=True):
        x1, y1, x2, y2 = window
        mask[y1:y2, x1:x2] = _interpolate(excess(field, instances.mask_level), grid, window) > 0
    return masks


def _interpolate(field: Doubles, grid: Grid, window: Ints) -> Doubles:
    """The field at the pixels of a window: float64 [y2 - y1, x2 - x1]."""
    x1, y1, x2, y2 = window
    across = _blend(field.T, grid.columns, slice(x1, x2))  # [x2 - x1, h]
    return _blend(across.T, grid.rows, slice(y1, y2))


def _blend(samples: Doubles, axis: Axis, pixels: slice) -> Doubles:
    """Samples along the first axis, interpolated at some pixels."""
    below, weight = axis.below[pixels], axis.weights[pixels, None]
    above = np.minimum(below + 1, axis.samples - 1)
    blended: Doubles = samples[below] * (1 - weight) + samples[above] * weight
    return blended
