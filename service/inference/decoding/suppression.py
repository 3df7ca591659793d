"""One object, one instance: of two that cover the same place the better stays."""

import numpy as np

from service.types import Floats, Ints


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
