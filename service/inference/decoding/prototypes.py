"""YOLACT's heads to instances (Bolya et al. 2019): an SSD with coefficients of prototypes, and Fast NMS.

Each prior box predicts an offset of itself, the probabilities of the classes, and a coefficient for each
prototype.
"""

import numpy as np

from service.inference.decoding.fields import sigmoid
from service.inference.decoding.selection import (
    SAME_OBJECT,
    Criteria,
    check_finite,
    is_wanted,
    keep_wanted,
    least_score,
)
from service.inference.families import PrototypesDecoder
from service.types import Floats, Heads, Instances, Ints, Mask

_LEVEL = 0.5  # of the probabilities of a mask
_CENTRE_UNIT, _SIZE_UNIT = np.float32(0.1), np.float32(0.2)  # SSD's variances
_MOST = np.float32(20)  # e to the power of it is far beyond every canvas, and finite


def decode_prototypes(heads: Heads, decoder: PrototypesDecoder, criteria: Criteria) -> Instances:
    """The instances that pass the threshold, best first, in the canvas frame.

    heads: offsets [1, A, 4], class probabilities [1, A, C] with the background in channel 0, coefficients
        [1, A, K], prior boxes [1, A, 4] as (centre x, centre y, width, height) in parts of the canvas, and
        prototypes [1, h, w, K].

    The masks are cropped to the box and one cell around it, and only then interpolated. A box may come with
    several classes. Equal scores are ordered by class, then by prior box.
    Raises SelfTestFailed when a head holds a value that is not finite.
    """
    scores = check_finite(heads[decoder.scores][0])
    candidates = (scores[:, 1:].max(axis=1, initial=0) > np.float32(decoder.candidate_score)).nonzero()[0]
    boxes = _decode_boxes(heads[decoder.offsets][0][candidates], heads[decoder.priors][0][candidates])
    scores = scores[candidates]
    rows, channels = _suppress_each(boxes, scores, decoder, criteria)
    best = np.argsort(-scores[rows, channels], kind="stable")[: decoder.max_instances]
    rows, channels = rows[best], channels[best]
    coefficients = check_finite(heads[decoder.weights][0][candidates[rows]])
    canvas = np.array([criteria.canvas.width, criteria.canvas.height] * 2, np.float32)
    found = Instances(
        classes=channels,
        scores=scores[rows, channels],
        boxes_xyxy_canvas=boxes[rows] * canvas,
        mask_fields=_combine(check_finite(heads[decoder.prototypes][0]), coefficients, boxes[rows]),
        mask_level=_LEVEL,
        window="none",
    )
    return keep_wanted(found, criteria, SAME_OBJECT)


def suppress_fast(boxes_xyxy: Floats, most: float) -> Ints:
    """Fast NMS (sec. 4.1): the indices of the boxes that stay, int64 [M], ascending.

    boxes_xyxy: float32 [N, 4], best first. A box goes where any better one has an IoU above `most` with
    it, even one that goes itself.

    >>> suppress_fast(np.array([[0, 0, 4, 4], [0, 0, 4, 3], [0, 0, 4, 2]], np.float32), 0.6).tolist()
    [0]
    """
    sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    areas = sides[:, 0] * sides[:, 1]
    low = np.maximum(boxes_xyxy[:, None, :2], boxes_xyxy[:, :2])
    high = np.minimum(boxes_xyxy[:, None, 2:], boxes_xyxy[:, 2:])
    common = np.maximum(high - low, 0).prod(axis=2)
    clashes = common > np.float32(most) * (areas[:, None] + areas - common)
    kept: Ints = (~np.triu(clashes, 1).any(axis=0)).nonzero()[0]
    return kept


def _suppress_each(
    boxes: Floats, scores: Floats, decoder: PrototypesDecoder, criteria: Criteria
) -> tuple[Ints, Ints]:
    """Box and class of what passes the threshold and Fast NMS within its class: int64 [N] each, by class."""
    least = least_score(criteria.threshold, decoder.comparison)
    wanted = is_wanted(np.arange(scores.shape[1]), None if criteria.nms == "all" else criteria.classes)
    wanted[0] = False  # the background
    rows = [np.zeros(0, np.int64)]
    channels = [np.zeros(0, np.int64)]
    for channel in (wanted & (scores >= least).any(axis=0)).nonzero()[0]:
        passing = (scores[:, channel] >= least).nonzero()[0]
        best = passing[np.argsort(-scores[passing, channel], kind="stable")[: decoder.candidates]]
        rows.append(best[suppress_fast(boxes[best], decoder.overlap)])
        channels.append(np.full(len(rows[-1]), channel))
    return np.concatenate(rows), np.concatenate(channels)


def _decode_boxes(offsets: Floats, priors: Floats) -> Floats:
    """Boxes in parts of the canvas, float32 [N, 4] xyxy, of offsets of centres and sizes from prior boxes."""
    centres = priors[:, :2] + check_finite(offsets)[:, :2] * _CENTRE_UNIT * priors[:, 2:]
    sizes = check_finite(priors)[:, 2:] * np.exp(np.minimum(offsets[:, 2:] * _SIZE_UNIT, _MOST))
    corners = centres - sizes / 2
    return np.hstack([corners, corners + sizes])


def _combine(prototypes: Floats, coefficients: Floats, boxes: Floats) -> Floats:
    """The probabilities of the masks, 0 outside of the boxes: float32 [N, h, w].

    prototypes: float32 [h, w, K]; coefficients: float32 [N, K]; boxes: float32 [N, 4], in parts of the
        canvas.
    """
    height, width, count = prototypes.shape
    fields = sigmoid(coefficients @ prototypes.reshape(-1, count).T).reshape(len(boxes), height, width)
    rows = _near(boxes[:, 1], boxes[:, 3], height)
    columns = _near(boxes[:, 0], boxes[:, 2], width)
    return fields * (rows[:, :, None] & columns[:, None, :])


def _near(starts: Floats, ends: Floats, cells: int) -> Mask:
    """True for the cells from one before the start up to one after the end, in parts: bool [N, cells]."""
    low = np.minimum(starts, ends) * np.float32(cells) - 1
    high = np.maximum(starts, ends) * np.float32(cells) + 1
    at = np.arange(cells)
    near: Mask = (at >= low[:, None]) & (at < high[:, None])
    return near
