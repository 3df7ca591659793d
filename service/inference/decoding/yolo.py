"""Predictions of YOLO segmentation models to instances: Ultralytics' v8, 11, 12 and 26, and YOLOv5.

Every anchor predicts a box, a score for each class, and a coefficient for each prototype. A mask is a linear
combination of the prototypes, cropped to its box. NMS is done here.
"""

from dataclasses import dataclass

import numpy as np

from service.inference.decoding.centers import combine_basis
from service.inference.decoding.selection import Criteria, check_finite, is_wanted, least_score, suppress
from service.inference.families import RowsDecoder, YoloDecoder
from service.types import Floats, Heads, Instances, Ints, Mask, Size

# Ultralytics moves the boxes of each class so far away that one NMS does for all classes. This is repeated
# here because it rounds the boxes, in float32: an IoU near the limit comes out as in their own predictor.
_CLASS_OFFSET = 7680


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Boxes with classes and coefficients, best first.

    boxes_xyxy: float32 [N, 4], canvas frame. scores: float32 [N]. channels: int64 [N]. coefficients: float32
    [N, K].
    """

    boxes_xyxy: Floats
    scores: Floats
    channels: Ints
    coefficients: Floats

    def keep(self, chosen: Mask | Ints) -> "Predictions":
        """The chosen ones; `chosen` is bool [N] or int64 [M]."""
        return Predictions(
            self.boxes_xyxy[chosen], self.scores[chosen], self.channels[chosen], self.coefficients[chosen]
        )


def decode_yolo(heads: Heads, decoder: YoloDecoder, criteria: Criteria) -> Instances:
    """The instances that pass the threshold and NMS, best first, in the canvas frame.

    heads: the predictions, [1, values, anchors] or [1, anchors, values], and the prototypes, [1, K, h, w] or
        [1, h, w, K].

    An anchor gives one instance at most, of its best class. Equal scores are ordered by anchor.
    Raises SelfTestFailed when a value that is needed is not finite.
    """
    found = _read_anchors(heads[decoder.predictions][0], decoder, criteria)
    across = criteria.nms == "all"
    if not across:
        found = found.keep(is_wanted(found.channels, criteria.classes))
    one_group = np.zeros_like(found.channels)
    offsets = (one_group if across else found.channels * _CLASS_OFFSET).astype(np.float32)
    apart = found.boxes_xyxy + offsets[:, None]
    found = found.keep(suppress(apart, one_group, decoder.overlap, limit=decoder.max_instances))
    if across:
        found = found.keep(is_wanted(found.channels, criteria.classes))
    return predictions_to_instances(found, heads[decoder.prototypes][0], decoder, criteria.canvas)


def predictions_to_instances(
    found: Predictions, prototypes: Floats, decoder: YoloDecoder | RowsDecoder, canvas: Size
) -> Instances:
    """The instances with their masks; prototypes are float32 [K, h, w], or [h, w, K] by the card."""
    planes = np.moveaxis(prototypes, -1, 0) if decoder.prototypes_last else prototypes
    count, height, width = planes.shape
    basis = check_finite(planes).reshape(count, height * width)
    fields = combine_basis(basis, found.coefficients).reshape(-1, height, width)
    in_cells = decoder.crop == "cells"
    return Instances(
        classes=found.channels,
        scores=found.scores,
        boxes_xyxy_canvas=found.boxes_xyxy,
        mask_fields=_crop_cells(fields, found.boxes_xyxy, canvas) if in_cells else fields,
        mask_level=0.5 if in_cells else 0.0,
        window="none" if in_cells else "corners",
        is_enlarged=not in_cells,
        mask_decides=True,
    )


def read_boxes(values: Floats, decoder: YoloDecoder | RowsDecoder, canvas: Size) -> Floats:
    """The four numbers of each box in canvas pixels: float32 [N, 4]; raises SelfTestFailed."""
    if not decoder.normalised:
        return check_finite(values)
    return check_finite(values) * np.array([canvas.width, canvas.height] * 2, np.float32)


def _read_anchors(values: Floats, decoder: YoloDecoder, criteria: Criteria) -> Predictions:
    """The anchors that pass the threshold: the `candidates` best of them, best first."""
    rows = values if decoder.anchors_last else values.T  # [values, anchors]
    first, last = 4 + decoder.objectness, len(rows) - decoder.coefficients
    least = least_score(criteria.threshold, decoder.comparison)
    best = rows[first:last].max(axis=0)
    failing = best < least  # NaN is not less than anything, so it does not fail
    if decoder.objectness:
        best = best * rows[4]
        failing = (best < least) | (rows[4] < least)
    anchors = (~failing).nonzero()[0]
    anchors = anchors[np.argsort(-best[anchors], kind="stable")[: decoder.candidates]]
    chosen = check_finite(rows[:, anchors].T)
    scores, coefficients = chosen[:, first:last], chosen[:, last:]
    if decoder.objectness:
        scores, coefficients = scores * chosen[:, 4:5], coefficients * chosen[:, 4:5]
    return Predictions(
        boxes_xyxy=_centres_to_corners(read_boxes(chosen[:, :4], decoder, criteria.canvas)),
        scores=best[anchors],
        channels=scores.argmax(axis=1),
        coefficients=coefficients,
    )


def _centres_to_corners(boxes_cxcywh: Floats) -> Floats:
    """float32 [N, 4] xyxy of (centre x, centre y, width, height)."""
    centres, halves = boxes_cxcywh[:, :2], boxes_cxcywh[:, 2:] / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)


def _crop_cells(logits: Floats, boxes_xyxy: Floats, canvas: Size) -> Floats:
    """The probabilities of the masks, 0 in the cells whose upper left corners the box does not hold.

    float32 [N, h, w]. The cell's corner decides here, as the pixel's does where masks are cropped later.
    """
    _, height, width = logits.shape
    scale = np.array([width / canvas.width, height / canvas.height] * 2, np.float32)
    left, top, right, bottom = (boxes_xyxy * scale).T[:, :, None]
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    inside_x, inside_y = (columns >= left) & (columns < right), (rows >= top) & (rows < bottom)
    probabilities = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    cropped: Floats = probabilities * (inside_y[:, :, None] & inside_x[:, None, :])
    return cropped
