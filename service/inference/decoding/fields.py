"""Fields of masks: their probabilities, their extents, and the scores that they give to instances."""

import cv2
import numpy as np

from service.types import Floats, Ints, Mask, Size


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(-logits)) in float32, of any shape, without overflow.

    >>> sigmoid(np.array([-1000, 0, 1000], np.float32)).tolist()
    [0.0, 0.5, 1.0]
    """
    small = np.exp(-np.abs(logits))
    probabilities: Floats = np.where(logits >= 0, 1, small) / (1 + small)
    return probabilities


def softmax(logits: Floats) -> Floats:
    """Probabilities along the last axis, float32.

    >>> softmax(np.zeros((1, 4), np.float32)).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities


def rate_masks(fields: Floats, level: float, *, logits: bool, side: int | None = None) -> Floats:
    """The mean probability of each mask's cells: float32 [N], 0 for an empty mask.

    fields: float32 [N, h, w]; the cells above the level belong to the mask. logits: the fields are logits.
    side: the fields are interpolated to this many cells each way first; None: they are not.

    >>> rate_masks(np.array([[[0.25, 0.5], [1, 0]]], np.float32), 0.3, logits=False).tolist()
    [0.75]
    """
    means = np.zeros(len(fields), np.float32)
    for index, field in enumerate(fields):
        cells = field if side is None else np.asarray(cv2.resize(field, (side, side)), np.float32)
        values = cells[cells > np.float32(level)]
        if len(values):
            means[index] = (sigmoid(values) if logits else values).mean()
    return means


def enclose_fields(fields: Floats, level: float, canvas: Size) -> Floats:
    """The boxes around the cells above the level: float32 [N, 4] xyxy, canvas frame.

    fields: float32 [N, h, w], over the whole canvas. One without such a cell has the box (0, 0, 0, 0).

    >>> enclose_fields(np.array([[[0, 1], [0, 0]]], np.float32), 0.5, Size(8, 8)).tolist()
    [[4.0, 0.0, 8.0, 4.0]]
    """
    above: Mask = fields > level
    _, height, width = fields.shape
    x1, x2 = _find_ends(np.asarray(above.any(axis=1)))
    y1, y2 = _find_ends(np.asarray(above.any(axis=2)))
    cell = np.array([canvas.width / width, canvas.height / height] * 2)
    boxes: Floats = (np.stack([x1, y1, x2, y2], axis=1) * cell).astype(np.float32)
    return boxes


def _find_ends(filled: Mask) -> tuple[Ints, Ints]:
    """The first filled place of each row, and the one after the last: int64 [N] each, 0 and 0 without any."""
    some, count = filled.any(axis=1), filled.shape[1]
    return filled.argmax(axis=1), np.where(some, count - filled[:, ::-1].argmax(axis=1), 0)
