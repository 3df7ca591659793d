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


def resize_fields(fields: Floats, side: int) -> Floats:
    """The fields interpolated to `side` x `side` samples: float32 [N, side, side]."""
    resized = [cv2.resize(field, (side, side), interpolation=cv2.INTER_LINEAR) for field in fields]
    return np.array(resized, np.float32).reshape(len(fields), side, side)


def mean_inside(probabilities: Floats, inside: Mask) -> Floats:
    """The mean probability of each mask's cells: float32 [N], 0 for an empty mask.

    probabilities: float32 [N, h, w]; inside: bool [N, h, w], the cells of the masks.
    """
    cells = inside.sum(axis=(1, 2))
    mean: Floats = (probabilities * inside).sum(axis=(1, 2)) / np.maximum(cells, 1).astype(np.float32)
    return mean


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
