"""Masks as pixels: the exact definition that every faster path is compared with.

All arithmetic is float64, horizontal before vertical, each blend as `a * (1 - t) + b * t`: where the two ends
share a sign that form keeps it, and elsewhere it is monotone in t, so that run lengths can be solved for and
agree with the pixels to the last bit. A value that equals the level is outside; a NaN is outside wherever it
has weight.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from service.masks.grid import Axis, Doubles, Grid, place_grid, place_windows
from service.types import Floats, Instances, Ints, Placement, Size

Mask = npt.NDArray[np.bool_]

_LARGEST = np.finfo(np.float32).max


def rasterise(instances: Instances, placement: Placement) -> Mask:
    """The masks of all instances: bool [N, H, W], image frame."""
    masks = np.zeros((len(instances), placement.image.height, placement.image.width), bool)
    for mask, (window, crop) in zip(masks, rasterise_crops(instances, placement), strict=True):
        x1, y1, x2, y2 = window
        mask[y1:y2, x1:x2] = crop
    return masks


def rasterise_crops(instances: Instances, placement: Placement) -> Iterator[tuple[Ints, Mask]]:
    """Each instance's window (int64 [4], half-open xyxy, image frame) and its mask in it, bool [h, w]."""
    grid = place_grid(placement, Size(*instances.mask_fields.shape[1:]))
    windows = place_windows(instances, placement)
    for field, window in zip(instances.mask_fields, windows, strict=True):
        yield window, _interpolate(excess(field, instances.mask_level), grid, window) > 0


def excess(values: Floats, level: float) -> Doubles:
    """By how much values exceed the level: float64, finite; NaN counts as the least, infinity as the most."""
    finite = np.fmin(np.fmax(values, -_LARGEST), _LARGEST)  # NaN gives way in both
    return finite.astype(np.float64) - np.float64(np.float32(level))


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
