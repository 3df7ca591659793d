"""Objects that several views of one image show, each made one again.

Two detections are compared where both views look: an object that a tile cuts off agrees there with the one
that the whole image shows. Fragments of an object that no view shows whole are joined, so no seam is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from service.inference.masks.runs import Runs, combine_runs, count_pixels
from service.inference.views import find_cut
from service.types import BackendInfo, Floats, Ints, Nms, Size, Timings

AGREEMENT = 0.5  # IoU of two masks, where both views look, from which on they are one object
COVERED = 0.7  # share of a fragment that lies in a whole object, from which on it is a part of that
MOST = 1000  # detections that are compared; the best of them
_CANDIDATE = 0.3  # IoU of boxes, or share of one, below which masks are not compared


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """N instances that were found in views of an image.

    classes: int64 [N], the network's channels. scores: float32 [N]. boxes_xyxy: float32 [N, 4], image frame.
    views_xyxy: int64 [N, 4], the windows in which they were found, image frame.
    runs: their masks over the whole image; the pixels of the boxes for a model of boxes only.
    """

    classes: Ints
    scores: Floats
    boxes_xyxy: Floats
    views_xyxy: Ints
    runs: Runs

    def __len__(self) -> int:
        return len(self.scores)

    def keep(self, chosen: Ints) -> "Detections":
        """The chosen ones; `chosen` are int64 [M], indices in the order wanted."""
        return Detections(
            self.classes[chosen],
            self.scores[chosen],
            self.boxes_xyxy[chosen],
            self.views_xyxy[chosen],
            self.runs.keep(chosen),
        )


@dataclass(frozen=True, slots=True)
class Findings:
    """The detections of a share of an image's views, and what computed them in which times."""

    detections: Detections
    backend: BackendInfo
    timings: Timings


def no_detections(image: Size) -> Detections:
    """Detections of an image without an instance."""
    boxes, none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    runs = Runs(image, np.zeros((0, 2), np.int64), np.zeros(1, np.int64))
    return Detections(none, boxes[:, 0], boxes, np.zeros((0, 4), np.int64), runs)


def join_detections(parts: Sequence[Detections]) -> Detections:
    """All detections of some parts, at least one, of one image."""
    runs = [part.runs for part in parts]
    lengths = np.concatenate([np.diff(each.splits) for each in runs])
    return Detections(
        np.concatenate([part.classes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.boxes_xyxy for part in parts]),
        np.concatenate([part.views_xyxy for part in parts]),
        Runs(
            runs[0].image,
            np.concatenate([each.bounds for each in runs]),
            np.concatenate([[0], np.cumsum(lengths)]),
        ),
    )


def merge_detections(found: Detections, nms: Nms) -> Detections:
    """One detection for each object, best score first; only the MOST best ones are looked at.

    Of detections of one object, that of a view that shows all of it stays, and the best of these. With `nms`
    "all" objects of different classes may be one, too.
    """
    best = np.argsort(-found.scores, kind="stable")[:MOST]
    found = found.keep(best)
    groups = found.classes if nms == "class" else np.zeros_like(found.classes)
    waiting = [_Object.read(found, index, int(group)) for index, group in enumerate(groups)]
    waiting.sort(key=lambda each: (each.is_cut, -each.score), reverse=True)
    kept: list[_Object] = []
    while waiting:
        new = waiting.pop()
        place = _find_same(new, kept)
        if place is None:
            kept.append(new)
        elif new.is_cut and kept[place].is_cut:
            waiting.append(kept.pop(place).join(new))
    kept.sort(key=lambda each: -each.score)
    return _collect(kept, found)


@dataclass(frozen=True, slots=True, eq=False)
class _Object:
    """One object as far as it is known: `index` is the best of its detections."""

    index: int
    group: int
    score: float
    box: Floats
    view: Ints
    bounds: Ints
    image: Size

    @classmethod
    def read(cls, found: Detections, index: int, group: int) -> "_Object":
        start, end = found.runs.splits[index : index + 2].tolist()
        return cls(
            index,
            group,
            float(found.scores[index]),
            found.boxes_xyxy[index],
            found.views_xyxy[index],
            found.runs.bounds[start:end],
            found.runs.image,
        )

    @property
    def is_cut(self) -> bool:
        box = np.concatenate([np.floor(self.box[:2]), np.ceil(self.box[2:])]).astype(np.int64)
        return bool(find_cut(box[None], self.view[None], self.image)[0])

    def join(self, other: "_Object") -> "_Object":
        """Both fragments as one object, of the score of the better one, as both views together show it."""
        better = max(self, other, key=lambda each: each.score)
        return replace(
            better,
            box=_enclose(self.box, other.box),
            view=_enclose(self.view, other.view),
            bounds=combine_runs(self.bounds, other.bounds, least=1),
        )


def _find_same(new: _Object, kept: Sequence[_Object]) -> int | None:
    """The place of the object among the kept ones that is the same as the new one; None without one."""
    if not kept:
        return None
    boxes, views = np.stack([each.box for each in kept]), np.stack([each.view for each in kept])
    groups = np.array([each.group for each in kept])
    near = _measure_boxes(new, boxes, views) >= _CANDIDATE
    others = (views != new.view).any(axis=1)  # one view names an object once
    for place in (near & others & (groups == new.group)).nonzero()[0].tolist():
        if _is_same(new, kept[place]):
            return int(place)
    return None


def _measure_boxes(new: _Object, boxes: Floats, views: Ints) -> Floats:
    """The IoU of boxes where both views look, or the share of the new box in the other; the larger one."""
    low = np.maximum(new.view[:2], views[:, :2])
    high = np.minimum(new.view[2:], views[:, 2:])
    ones, others = _clip(new.box[None], low, high), _clip(boxes, low, high)
    shared = _measure(_clip(ones, others[:, :2], others[:, 2:]))
    either = np.maximum(_measure(ones) + _measure(others) - shared, 1e-6)
    own = max(float(_measure(new.box[None])[0]), 1e-6)
    near: Floats = np.maximum(shared / either, shared / own)
    return near


def _is_same(new: _Object, old: _Object) -> bool:
    """Whether two masks agree where both views look, or the new one is a fragment that the old one covers."""
    shared = combine_runs(new.bounds, old.bounds, least=2)
    common = count_pixels(shared)
    if new.is_cut and not old.is_cut and common >= COVERED * count_pixels(new.bounds):
        return True
    window = _list_columns(_overlap(new.view, old.view), new.image)
    both = [combine_runs(each.bounds, window, least=2) for each in (new, old)]
    either = sum(map(count_pixels, both)) - common
    return common > 0 and common >= AGREEMENT * either


def _list_columns(view: Ints, image: Size) -> Ints:
    """The pixels of a window as one run for each column: int64 [W, 2]."""
    left, top, right, bottom = view.tolist()
    columns = np.arange(left, right)[:, None] * image.height
    runs: Ints = columns + np.array([top, bottom])
    return runs


def _overlap(one: Ints, other: Ints) -> Ints:
    return np.concatenate([np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])])


def _enclose(one: Floats | Ints, other: Floats | Ints) -> Any:
    return np.concatenate([np.minimum(one[:2], other[:2]), np.maximum(one[2:], other[2:])])


def _clip(boxes: Floats, low: Floats | Ints, high: Floats | Ints) -> Floats:
    return np.concatenate([np.maximum(boxes[:, :2], low), np.minimum(boxes[:, 2:], high)], axis=1)


def _measure(boxes: Floats) -> Floats:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    areas: Floats = sides[:, 0] * sides[:, 1]
    return areas


def _collect(objects: Sequence[_Object], found: Detections) -> Detections:
    """The objects as detections; each keeps the class and score of the best that it is made of."""
    best = found.keep(np.array([each.index for each in objects], np.int64))
    if not objects:
        return best
    lengths = [len(each.bounds) for each in objects]
    runs = Runs(
        found.runs.image,
        np.concatenate([each.bounds for each in objects]),
        np.concatenate([[0], np.cumsum(lengths)]),
    )
    boxes, views = (np.stack([getattr(each, name) for each in objects]) for name in ("box", "view"))
    return replace(best, boxes_xyxy=boxes, views_xyxy=views, runs=runs)
