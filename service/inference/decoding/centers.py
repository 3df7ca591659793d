"""BlitzMask's heads to instances (BlitzMask, sec. 3.3): one object per local maximum of the heatmap.

An object's score, box and mask do not depend on the threshold: the answer at a threshold equals the answer at
a lower one without the objects that score less.
"""

from dataclasses import replace
from itertools import product

import cv2
import numpy as np

from service.inference.decoding.selection import (
    SAME_OBJECT,
    Criteria,
    check_finite,
    keep_wanted,
    least_score,
    suppress,
)
from service.inference.families import CentersDecoder
from service.types import Floats, Heads, Instances, Ints

_FEW = (
    500  # cells; up to here it is faster to compare each one with its neighbours than to dilate the heatmap
)
_NEIGHBOURS = np.array(list(product((-1, 0, 1), repeat=2))).T[..., None]  # steps down and right: [2, 9, 1]
_SQUARE = np.ones((3, 3), np.uint8)
_OUTWARDS = np.array([-1, -1, 1, 1])
_BLOCK = 16  # masks that are combined in one matrix product


def decode_centers(heads: Heads, decoder: CentersDecoder, criteria: Criteria) -> Instances:
    """The instances that score at least the threshold, best first, in the canvas frame.

    heads: float32 [1, h, w, C] each: heatmap, size and, for a model with masks, coefficients and
        spanning_set. Without these two the mask fields are empty, [N, 0, 0].

    Only the `max_instances` best peaks of the heatmap become instances. With `containment` the final score
    depends on the mask, too. Equal scores are ordered by row, then column, then class.
    Raises SelfTestFailed when a head holds a value that is not finite.
    """
    threshold = least_score(criteria.threshold, decoder.comparison)
    across = criteria.nms == "all"
    found = _read_peaks(heads, decoder, threshold, None if across else criteria.classes)
    if decoder.containment and decoder.coefficients:
        found = _lower_spilling(found, decoder, threshold)
    if not across and decoder.overlap < 1:
        return found.keep(suppress(found.boxes_xyxy_canvas, found.classes, decoder.overlap))
    return keep_wanted(found, criteria, decoder.overlap if decoder.overlap < 1 else SAME_OBJECT)


def share_inside(fields: Floats, boxes_xyxy: Floats, level: float) -> Floats:
    """The share of each mask's cells that its box touches: float32 [N], 0 for an empty mask.

    fields: float32 [N, h, w]; a cell belongs to the mask where the field exceeds the level.
    boxes_xyxy: float32 [N, 4] in cells; a box outside of the field touches the nearest cell.

    >>> share_inside(np.ones((1, 2, 4), np.float32), np.array([[0.5, 0, 1.5, 9]], np.float32), 0.0)
    array([0.5], dtype=float32)
    """
    _, height, width = fields.shape
    above = (fields > level).astype(np.float32)
    left, top, right, bottom = boxes_xyxy.T
    rows, columns = _touched_cells(top, bottom, height), _touched_cells(left, right, width)
    inside = np.matmul(rows[:, None, :], np.matmul(above, columns[:, :, None]))[:, 0, 0]
    share: Floats = inside / np.maximum(above.sum(axis=(1, 2)), 1)
    return share


def _read_peaks(
    heads: Heads, decoder: CentersDecoder, threshold: float, classes: frozenset[int] | None
) -> Instances:
    """The instances at the best peaks of the heatmap."""
    heatmap, sizes = heads["heatmap"][0], heads["size"][0]
    peaks = _find_peaks(heatmap, threshold, classes)
    scores = heatmap.reshape(-1)[peaks]
    best = np.argsort(-scores, kind="stable")[: decoder.max_instances]
    rows, columns, channels = np.unravel_index(peaks[best], heatmap.shape)
    fields = np.empty((len(rows), 0, 0), np.float32)
    if decoder.coefficients:
        basis, coefficients = heads["spanning_set"][0], heads["coefficients"][0]
        height, width, count = basis.shape
        combined = combine_basis(
            check_finite(basis).reshape(-1, count).T, check_finite(coefficients[rows, columns])
        )
        fields = combined.reshape(-1, height, width)
    return Instances(
        classes=channels,
        scores=scores[best],
        boxes_xyxy_canvas=_read_boxes(check_finite(sizes[rows, columns]), rows, columns, decoder.stride),
        mask_fields=fields,
    )


def _find_peaks(heatmap: Floats, threshold: float, classes: frozenset[int] | None) -> Ints:
    """The cells of at least the threshold that no neighbour exceeds: int64 [P], indices of the flat heatmap.

    Of neighbours with equal scores the upper one, then the left one, is the peak. Equal neighbours are rare
    in floating point. In INT8 they are common at the top of a flat peak, and to take each of them for an
    object would cost a third of the AP.
    """
    values = heatmap.reshape(-1)
    cells = (~(values < threshold)).nonzero()[0]  # NaN is not less than anything, so it is among them
    check_finite(values[cells])
    if len(cells) > _FEW:
        cells = cells[(heatmap >= cv2.dilate(heatmap, _SQUARE)).reshape(-1)[cells]]
    rows, columns, channels = np.unravel_index(cells, heatmap.shape)
    # At the border, `clip` gives another neighbour or the cell itself, and neither changes the result.
    down, right = _NEIGHBOURS
    near = rows + down, columns + right, channels
    rivals = np.ravel_multi_index(near, heatmap.shape, mode="clip")  # [9, cells]
    scores, others = values[cells], values[rivals]
    beaten = (others > scores) | ((others == scores) & (rivals < cells))
    kept = ~beaten.any(axis=0)
    if classes is not None:
        kept &= np.isin(channels, list(classes))
    peaks: Ints = cells[kept]
    return peaks


def _read_boxes(sizes: Floats, rows: Ints, columns: Ints, stride: int) -> Floats:
    """Boxes by eq. 1 from the sizes [N, 4] at the centres: float32 [N, 4] xyxy, canvas frame."""
    centres = np.array([columns, rows, columns, rows]).T * stride
    boxes: Floats = (centres + sizes * _OUTWARDS).astype(np.float32)
    return boxes


def combine_basis(basis: Floats, coefficients: Floats) -> Floats:
    """Mask logits by eq. 5: float32 [N, cells] from [K, cells] and [N, K].

    BLAS computes one row, a few rows and many rows by different kernels, whose results differ in the last
    bit. So all products have the same shape, and the last one is filled up with zeros.
    """
    count, cells = basis.shape
    rows = -(-len(coefficients) // _BLOCK) * _BLOCK
    padded = np.zeros((rows, count), np.float32)
    padded[: len(coefficients)] = coefficients
    fields = np.empty((rows, cells), np.float32)
    for first in range(0, rows, _BLOCK):
        np.matmul(padded[first : first + _BLOCK], basis, out=fields[first : first + _BLOCK])
    return fields[: len(coefficients)]


def _lower_spilling(found: Instances, decoder: CentersDecoder, threshold: float) -> Instances:
    """The instances, with lower scores where a mask spills over its box, sorted and cut off again.

    A mask that spills belongs to a whole object, and its box to a part of it, or the mask covers two objects.
    """
    share = share_inside(
        found.mask_fields, found.boxes_xyxy_canvas / np.float32(decoder.stride), found.mask_level
    )
    scores = found.scores * share**decoder.containment
    order = np.argsort(-scores, kind="stable")
    return replace(found, scores=scores).keep(order[scores[order] >= threshold])


def _touched_cells(low: Floats, high: Floats, count: int) -> Floats:
    """1 for each of `count` cells that [low, high] meets, else 0: float32 [N, count], never all 0."""
    first = np.clip(np.floor(low), 0, count - 1)
    last = np.clip(np.ceil(high) - 1, first, count - 1)
    cells = np.arange(count)
    touched: Floats = ((cells >= first[:, None]) & (cells <= last[:, None])).astype(np.float32)
    return touched
