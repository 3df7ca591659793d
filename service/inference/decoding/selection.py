"""The rules by which every family selects instances: threshold, classes and non-maximum suppression."""

from dataclasses import dataclass

import numpy as np

from service.errors import SelfTestFailed
from service.inference.families import Comparison
from service.types import Floats, Instances, Ints, Mask, Nms, Size

SAME_OBJECT = 0.6  # IoU for `nms` "all" where the card sets no overlap
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


def suppress(boxes_xyxy: Floats, groups: Ints, most: float) -> Ints:
    """Greedy non-maximum suppression: the indices that stay, int64 [M], ascending.

    boxes_xyxy: float32 [N, 4], best first; groups: int64 [N]. A box goes where a better one of its group,
    which stays itself, has an IoU above `most` with it.

    >>> boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 3], [9, 9, 12, 12]], np.float32)
    >>> suppress(boxes, np.array([0, 0, 0]), 0.7).tolist()
    [0, 2]
    """
    sides = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0)
    areas = sides[:, 0] * sides[:, 1]
    low = np.maximum(boxes_xyxy[:, None, :2], boxes_xyxy[:, :2])
    high = np.minimum(boxes_xyxy[:, None, 2:], boxes_xyxy[:, 2:])
    common = np.maximum(high - low, 0)
    shared = common[..., 0] * common[..., 1]
    clashes = (shared > most * (areas[:, None] + areas - shared)) & (groups[:, None] == groups)
    kept = np.ones(len(areas), bool)
    for index in range(len(areas)):
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
