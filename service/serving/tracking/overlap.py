"""Intersection over union of boxes, and of masks, which are compared run by run and never drawn as pixels."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from service.inference.masks.forms import form_to_runs
from service.types import MaskForm, Size

Doubles: TypeAlias = npt.NDArray[np.float64]
Edges: TypeAlias = Doubles
"""The begin and end of each run of a mask, in turn, as pixel numbers down the columns: float64 [2 R]."""


def box_ious(first_xyxy: Doubles, second_xyxy: Doubles) -> Doubles:
    """IoU of every pair of boxes: float64 [N, M]; boxes are float64 [N, 4] and [M, 4] in one frame.

    >>> box_ious(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2], [5, 5, 6, 6]])).round(3)
    array([[0.333, 0.   ]])
    """
    low = np.maximum(first_xyxy[:, None, :2], second_xyxy[None, :, :2])  # [N, M, 2]
    high = np.minimum(first_xyxy[:, None, 2:], second_xyxy[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    either = _box_areas(first_xyxy)[:, None] + _box_areas(second_xyxy)[None] - shared
    ious: Doubles = np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)
    return ious


def mask_iou(first: Edges, second: Edges) -> float:
    """IoU of two masks of images of one size.

    >>> mask_iou(np.array([0.0, 4]), np.array([2.0, 6]))
    0.3333333333333333
    """
    shared = _shared_pixels(first, second)
    return shared / (_pixels(first) + _pixels(second) - shared) if shared else 0.0


def mask_to_edges(mask: MaskForm, image: Size) -> Edges:
    """The runs of a mask; raises ValueError where it is not of this image.

    >>> from service.types import Rle
    >>> mask_to_edges(Rle(Size(2, 3), "132"), Size(2, 3))
    array([1., 4.])
    """
    return form_to_runs(mask, image).bounds.astype(np.float64).reshape(-1)


def shift_edges(edges: Edges, image: Size, *, right: float, down: float) -> Edges:
    """The mask moved, to whole pixels.

    Pixels that leave to the left or right are cut off. Pixels that leave over the top or bottom come back in
    the
    next column: they are few, and belong to an object half out of the picture.
    """
    return np.clip(edges + (round(right) * image.height + round(down)), 0, image.pixels)


def _box_areas(boxes_xyxy: Doubles) -> Doubles:
    areas: Doubles = np.prod(np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0), axis=1)
    return areas


def _pixels(edges: Edges) -> float:
    return float(np.sum(edges[1::2] - edges[::2]))


def _shared_pixels(first: Edges, second: Edges) -> float:
    if not len(first) or not len(second) or first[0] >= second[-1] or second[0] >= first[-1]:
        return 0.0
    steps = np.diff(second, prepend=second[0])
    steps[::2] = 0
    # The number of pixels of `second` before a given pixel is linear between its edges: interpolation is
    # exact.
    return _pixels(np.interp(first, second, np.cumsum(steps)))
