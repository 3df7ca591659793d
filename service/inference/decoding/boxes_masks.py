"""Final lists of boxes, labels, scores and masks to instances: Mask R-CNN, and exports of mmdeploy.

The graph has done NMS. Its masks are small pictures of the boxes, or they cover the whole canvas.
"""

import numpy as np

from service.inference.decoding.selection import (
    SAME_OBJECT,
    Criteria,
    check_finite,
    is_wanted,
    keep_wanted,
    least_score,
)
from service.inference.families import BoxesMasksDecoder, ListDecoder
from service.types import Floats, Heads, Instances, Ints


def decode_boxes_masks(heads: Heads, decoder: BoxesMasksDecoder, criteria: Criteria) -> Instances:
    """The instances that pass the threshold, best first, in the canvas frame.

    heads: boxes [1, n, 4] xyxy in canvas pixels, or [1, n, 5] with the scores in the last column; labels
        [1, n], scores [1, n], masks [1, n, h, w] or [1, n, 1, h, w].

    A field that covers its box gets a rim of zeros, one cell wide on each side, where the mask fades out.
    Equal scores keep the graph's order.
    Raises SelfTestFailed when a head holds a value that is not finite.
    """
    boxes = heads[decoder.boxes][0]
    scores = boxes[:, 4] if decoder.scores is None else heads[decoder.scores][0]
    channels = check_finite(heads[decoder.labels][0]).astype(np.int64)
    chosen = choose_rows(scores, channels, decoder, criteria)
    fields = read_fields(heads[decoder.masks], chosen)
    found = Instances(
        classes=channels[chosen],
        scores=scores[chosen],
        boxes_xyxy_canvas=check_finite(boxes[chosen, :4]),
        mask_fields=fields if decoder.extent == "canvas" else np.pad(fields, ((0, 0), (1, 1), (1, 1))),
        mask_level=decoder.mask_level,
        window="none",
        extent=decoder.extent,
    )
    return keep_wanted(found, criteria, SAME_OBJECT)


def choose_rows(scores: Floats, channels: Ints, decoder: ListDecoder, criteria: Criteria) -> Ints:
    """The rows of a final list that pass the threshold and are of wanted classes, best first: int64 [N].

    scores: float32 [n], channels: int64 [n]. Only the `max_instances` best remain.
    Raises SelfTestFailed where a score is not finite.
    """
    passing = check_finite(scores) >= least_score(criteria.threshold, decoder.comparison)
    if criteria.nms != "all":
        passing &= is_wanted(channels, criteria.classes)
    rows = passing.nonzero()[0]
    return rows[np.argsort(-scores[rows], kind="stable")[: decoder.max_instances]]


def read_fields(masks: Floats, chosen: Ints) -> Floats:
    """The chosen masks of a final list, [1, n, h, w] or [1, n, 1, h, w]: float32 [N, h, w].

    Raises SelfTestFailed where a value is not finite.
    """
    count, (height, width) = masks.shape[1], masks.shape[-2:]
    return check_finite(masks.reshape(count, height, width)[chosen])
