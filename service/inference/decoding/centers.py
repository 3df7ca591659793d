"""BlitzMask's heads to instances (BlitzMask, sec. 3.3): an object per local maximum of the heatmap."""

from dataclasses import replace
from itertools import product

import cv2
import numpy as np

from service.errors import SelfTestFailed
from service.inference.card import CentersDecoder
from service.types import Floats, Heads, Instances, Ints

_FEW = 500  # cells, each of which is compared with its neighbours by itself
_NEIGHBOURS = np.array(list(product((-1, 0, 1), repeat=2))).T[..., None]  # down and right: [2, 9, 1]
_SQUARE = np.ones((3, 3), np.uint8)
_OUTWARDS = np.array([-1, -1, 1, 1])
_NOTHING = float(np.finfo(np.float32).tiny)  # a score of 0 is no object, whatever the threshold


def decode_centers(
    heads: Heads,
    *,
    decoder: CentersDecoder,
    threshold: float,
    classes: frozenset[int] | None,
) -> Instances:
    """The instances that score at least `threshold`, best first, in the canvas frame.

    No more than the `max_instances` best peaks of the heatmap are looked at. Where the decoder's
    `containment` has a score depend on the mask, those stay whose final score is at least the threshold;
    `overlap` may leave fewer.

    heads: float32 [1, h, w, C] each: heatmap, size and, where the decoder has them, coefficients and
        spanning_set. Without these the fields of the instances are empty, [N, 0, 0].
    classes: the heatmap's channels to look at; None for all.

    Of equal scores the upper, then the left, then the lower class comes first. Raises SelfTestFailed when
    a head holds values that are not finite.
    """
    heatmap, sizes = heads["heatmap"][0], heads["size"][0]
    threshold = max(threshold, _NOTHING)
    peaks = _find_peaks(heatmap, threshold, classes)
    scores = heatmap.reshape(-1)[peaks]
    best = np.argsort(-scores, kind="stable")[: decoder.max_instances]
    rows, columns, channels = np.unravel_index(peaks[best], heatmap.shape)
    found = Instances(
        classes=channels,
        scores=scores[best],
        boxes_xyxy_canvas=_read_boxes(_finite(sizes[rows, columns]), rows, columns, decoder.stride),
        mask_fields=_read_fields(heads, rows, columns) if decoder.coefficients else _no_fields(len(rows)),
    )
    if decoder.containment and decoder.coefficients:
        found = _doubt_spilt(found, decoder, threshold)
    if decoder.overlap < 1:
        found = found.keep(keep_best(found.boxes_xyxy_canvas, found.classes, decoder.overlap))
    return found


def _doubt_spilt(found: Instances, decoder: CentersDecoder, threshold: float) -> Instances:
    """With scores lowered where a mask spills over its box, as that of a whole over the box of a part."""
    share = share_inside(
        found.mask_fields, found.boxes_xyxy_canvas / np.float32(decoder.stride), found.mask_level
    )
    scores = found.scores * share**decoder.containment
    order = np.argsort(-scores, kind="stable")
    return replace(found, scores=scores).keep(order[scores[order] >= threshold])


def _find_peaks(heatmap: Floats, threshold: float, classes: frozenset[int] | None) -> Ints:
    """The cells (int64 [P], counted through the heatmap) of at least the threshold that no neighbour exceeds.

    Of neighbours with equal scores the first is the centre, the upper one, then the left. In floating point
    they hardly occur; in INT8 they are the rule at the top of a blunt peak, and each of them taken for an
    object costs a third of the AP.
    """
    values = heatmap.reshape(-1)
    cells = (~(values < threshold)).nonzero()[0]  # NaN is not less than anything, and so among them
    _finite(values[cells])
    if len(cells) > _FEW:
        cells = cells[(heatmap >= cv2.dilate(heatmap, _SQUARE)).reshape(-1)[cells]]
    rows, columns, channels = np.unravel_index(cells, heatmap.shape)
    # Beyond the border is what is next to it: a neighbour, or the cell itself, and neither does any harm.
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


def _read_fields(heads: Heads, rows: Ints, columns: Ints) -> Floats:
    basis, coefficients = heads["spanning_set"][0], heads["coefficients"][0]
    return _combine_basis(_finite(basis), _finite(coefficients[rows, columns]))


def _no_fields(count: int) -> Floats:
    return np.empty((count, 0, 0), np.float32)


def _combine_basis(basis: Floats, coefficients: Floats) -> Floats:
    """Mask logits by eq. 5: float32 [N, h, w] from [h, w, K] and [N, K]."""
    height, width, count = basis.shape
    fields = coefficients @ basis.reshape(-1, count).T
    return fields.reshape(-1, height, width)


def _finite(values: Floats) -> Floats:
    if not np.isfinite(values).all():
        raise SelfTestFailed(
            "the network gave values that are not finite: the file or its quantisation is broken, "
            "or a provider or delegate miscomputes"
        )
    return values


def share_inside(fields: Floats, boxes_xyxy: Floats, level: float) -> Floats:
    """Of each field's cells above the level, the share that its box touches: float32 [N], 0 where none is.

    fields: float32 [N, h, w]. boxes_xyxy: float32 [N, 4] in cells, from the corner of the first; one outside
    of the field touches its nearest cell.

    >>> share_inside(np.ones((1, 2, 4), np.float32), np.array([[0.5, 0, 1.5, 9]], np.float32), 0.0)
    array([0.5], dtype=float32)
    """
    _, height, width = fields.shape
    above = (fields > level).astype(np.float32)
    left, top, right, bottom = boxes_xyxy.T
    rows, columns = _touch(top, bottom, height), _touch(left, right, width)
    inside = np.matmul(rows[:, None, :], np.matmul(above, columns[:, :, None]))[:, 0, 0]
    share: Floats = inside / np.maximum(above.sum(axis=(1, 2)), 1)
    return share


def _touch(low: Floats, high: Floats, count: int) -> Floats:
    """Which of so many cells meet [low, high]: float32 [N, count] of 0 and 1, one of them at least."""
    first = np.clip(np.floor(low), 0, count - 1)
    last = np.clip(np.ceil(high) - 1, first, count - 1)
    cells = np.arange(count)
    touched: Floats = ((cells >= first[:, None]) & (cells <= last[:, None])).astype(np.float32)
    return touched


def keep_best(boxes_xyxy: Floats, classes: Ints, most: float) -> Ints:
    """The numbers, int64 [M], of those whose box has no IoU above `most` with a better one's of its class.

    boxes_xyxy: float32 [N, 4], best first, classes: int64 [N]. What is dropped drops nothing itself.

    >>> boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 3], [9, 9, 12, 12]], np.float32)
    >>> keep_best(boxes, np.array([0, 0, 0]), 0.7).tolist()
    [0, 2]
    """
    sides = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0)
    areas = sides[:, 0] * sides[:, 1]
    low = np.maximum(boxes_xyxy[:, None, :2], boxes_xyxy[:, :2])
    high = np.minimum(boxes_xyxy[:, None, 2:], boxes_xyxy[:, 2:])
    common = np.maximum(high - low, 0)
    shared = common[..., 0] * common[..., 1]
    clashes = (shared > most * (areas[:, None] + areas - shared)) & (classes[:, None] == classes)
    kept = np.ones(len(areas), bool)
    for number in range(len(areas)):
        if kept[number]:
            kept[number + 1 :] &= ~clashes[number, number + 1 :]
    return kept.nonzero()[0]
