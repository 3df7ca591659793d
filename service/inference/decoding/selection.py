"""The rules by which every family selects instances: threshold, classes and non-maximum suppression."""

from dataclasses import dataclass

import numpy as np

from service.errors import SelfTestFailed
from service.inference.families import Comparison
from service.types import Floats, Instances, Ints, Mask, Nms, Size

SAME_OBJECT = 0.6  # IoU for `nms` "all" where the card sets no overlap
_BLOCK = 256  # boxes that NMS compares with each other at once: it bounds the memory
_NOTHING = float(np.finfo(np.float32).tiny)  # a score of 0 is no object, whatever the threshold


@dataclass(frozen=True, slots=True)
class Criteria:
    """The canvas of one image, and the instances that a caller wants.

    classes: the channels to keep; None for all.
    nms: "class" drops an instance where a better one of its class has nearly the same box; "all" drops it
        where a better one of any class does, even of a class that `classes` leaves out.
    """

    canvas: Size
    threshold: float
    classes: frozenset[int] | None = None
    nms: Nms = "class"


def least_score(threshold: float, comparison: Comparison = ">=") -> float:
    """The least float32 that is at least the threshold, or exceeds it; always above 0.

    With ">" the threshold is rounded to float32 first, as the families do that compare so.

    >>> least_score(0.7) >= 0.7 > float(np.float32(0.7))
    True
    """
    threshold = max(threshold, _NOTHING)
    rounded = np.float32(threshold)
    enough = comparison == ">=" and float(rounded) >= threshold
    return float(rounded if enough else np.nextafter(rounded, np.float32(np.inf)))


def suppress(boxes_xyxy: Floats, groups: Ints, most: float, *, limit: int | None = None) -> Ints:
    """Greedy non-maximum suppression: the indices that stay, int64 [M], ascending.

    boxes_xyxy: float32 [N, 4], best first; groups: int64 [N]. A box goes where a better one of its group,
    which stays itself, has an IoU above `most` with it. Not more than the `limit` best stay.

    >>> boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 3], [9, 9, 12, 12]], np.float32)
    >>> suppress(boxes, np.array([0, 0, 0]), 0.7).tolist()
    [0, 2]
    """
    kept, rest = np.zeros(0, np.int64), np.arange(len(boxes_xyxy))
    limit = len(rest) if limit is None else limit
    while len(rest) and len(kept) < limit:
        block, rest = rest[:_BLOCK], rest[_BLOCK:]
        clashes = _find_clashes(boxes_xyxy[block], boxes_xyxy[block], most)
        best = block[_choose_best(clashes & (groups[block][:, None] == groups[block]))]
        kept = np.concatenate([kept, best])
        if len(rest):
            clashes = _find_clashes(boxes_xyxy[best], boxes_xyxy[rest], most)
            rest = rest[~(clashes & (groups[best][:, None] == groups[rest])).any(axis=0)]
    return kept[:limit]


def _find_clashes(ones: Floats, others: Floats, most: float) -> Mask:
    """True where the IoU of two boxes exceeds `most`: bool [N, M] of float32 [N, 4] and [M, 4] xyxy."""
    low = np.maximum(ones[:, None, :2], others[:, :2])
    high = np.minimum(ones[:, None, 2:], others[:, 2:])
    common = np.maximum(high - low, 0)
    shared = common[..., 0] * common[..., 1]
    clashes: Mask = shared > most * (_areas(ones)[:, None] + _areas(others) - shared)
    return clashes


def _areas(boxes_xyxy: Floats) -> Floats:
    sides = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0)
    areas: Floats = sides[:, 0] * sides[:, 1]
    return areas


def _choose_best(clashes: Mask) -> Ints:
    """The indices that clash with no better one that stays: int64 [M] of bool [N, N], best first."""
    kept = np.ones(len(clashes), bool)
    for index in range(len(clashes)):
        if kept[index]:
            kept[index + 1 :] &= ~clashes[index, index + 1 :]
    return kept.nonzero()[0]


def keep_wanted(found: Instances, criteria: Criteria, most: float) -> Instances:
    """The instances, best first, of the wanted classes; one for each object where the caller asks for that.

    most: IoU of two boxes above which they are one object.
    """
    if criteria.nms == "all":
        groups = np.zeros_like(found.classes)
        found = found.keep(suppress(found.boxes_xyxy_canvas, groups, most))
    if criteria.classes is not None:
        found = found.keep(is_wanted(found.classes, criteria.classes))
    return found


def is_wanted(channels: Ints, classes: frozenset[int] | None) -> Mask:
    """True for each channel that is among the classes: bool [N]."""
    if classes is None:
        return np.ones(len(channels), bool)
    return np.isin(channels, list(classes))


def check_finite(values: Floats) -> Floats:
    """The values; raises SelfTestFailed where one is not finite."""
    if not np.isfinite(values).all():
        raise SelfTestFailed(
            "the network gave values that are not finite: the file or its quantisation is broken, "
            "or a provider or delegate miscomputes"
        )
    return values
