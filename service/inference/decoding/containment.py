"""How much of a mask lies inside its box: what tells an object from a part of one, or from two."""

import numpy as np

from service.types import Floats


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
