"""Objects that several views of one image show, each made one again.

Two detections are compared where both views look: an object that a tile cuts off agrees there with the one
that the whole image shows. Fragments of an object that no view shows whole are joined, so no seam is left.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

import numpy as np

from service.inference.detections import Detections
from service.inference.masks.runs import Runs, combine_runs, count_pixels
from service.inference.views import find_cut
from service.types import Floats, Ints, Mask, Nms, Size

Boxes = TypeVar("Boxes", Floats, Ints)

AGREEMENT = 0.5  # IoU of two masks, where both views look, from which on they are one object
COVERED = 0.7  # share of a fragment that lies in a whole object, from which on it is a part of that
MOST = 1000  # detections that are compared; the best of them
_CANDIDATE = 0.3  # IoU of boxes, or share of one, below which masks are not compared
_TINY = 1e-6  # pixels


def merge_detections(found: Detections, nms: Nms) -> Detections:
    """One detection for each object, best score first; only the MOST best ones are looked at.

    Of detections of one object, that of a view that shows all of it stays, and the best of these. With `nms`
    "all" objects of different classes may be one, too.
    """
    found = found.keep(_order(found)[:MOST])
    near = _find_near(found, nms)
    waiting = list(_read_objects(found))
    waiting.sort(key=lambda each: (each.is_cut, -each.score), reverse=True)
    kept: dict[int, _Object] = {}  # by the first of their members
    owners = np.full(len(found), -1)  # of the members, the keys in `kept`
    while waiting:
        new = waiting.pop()
        rivals = np.unique(owners[near[list(new.members)].any(axis=0)])
        same = next((key for key in rivals.tolist() if key >= 0 and _is_same(new, kept[key])), None)
        if same is None:
            kept[new.members[0]] = new
            owners[list(new.members)] = new.members[0]
        elif new.is_cut and kept[same].is_cut:
            old = kept.pop(same)
            owners[list(old.members)] = -1
            waiting.append(_join(old, new))
    return _collect(sorted(kept.values(), key=lambda each: -each.score), found)


@dataclass(frozen=True, slots=True, eq=False)
class _Object:
    """One object as far as it is known; `members` are its detections, the best one first."""

    members: tuple[int, ...]
    score: float
    box: Floats
    view: Ints
    bounds: Ints
    image: Size
    is_cut: bool


def _order(found: Detections) -> Ints:
    """The detections by their scores, equal ones by their places: int64 [N].

    So the answer does not depend on how the views were shared among processes.
    """
    places = np.concatenate([found.boxes_xyxy, found.views_xyxy], axis=1)
    return np.lexsort((*places.T, found.classes, -found.scores))


def _read_objects(found: Detections) -> Iterator[_Object]:
    """An object for each detection."""
    cut = find_cut(found.boxes_xyxy, found.views_xyxy, found.runs.image)
    for index, (start, end) in enumerate(pairwise(found.runs.splits.tolist())):
        yield _Object(
            (index,),
            float(found.scores[index]),
            found.boxes_xyxy[index],
            found.views_xyxy[index],
            found.runs.bounds[start:end],
            found.runs.image,
            bool(cut[index]),
        )


def _join(one: _Object, other: _Object) -> _Object:
    """Both fragments as one object, of the score of the better one, as both views together show it."""
    better, worse = sorted((one, other), key=lambda each: -each.score)
    box, view = _enclose(one.box, other.box), _enclose(one.view, other.view)
    return replace(
        better,
        members=better.members + worse.members,
        box=box,
        view=view,
        bounds=combine_runs(one.bounds, other.bounds, least=1),
        is_cut=bool(find_cut(box[None], view[None], one.image)[0]),
    )


def _find_near(found: Detections, nms: Nms) -> Mask:
    """True where a detection may be a part of another one, by their boxes: bool [N, N].

    Two detections in one view are two objects: the network has compared them.
    """
    boxes, views = found.boxes_xyxy, found.views_xyxy.astype(np.float32)
    seen = _intersect(views[:, None], views)  # [N, N, 4], where both views look
    ones, others = _intersect(boxes[:, None], seen), _intersect(boxes, seen)
    shared = _measure(_intersect(ones, others))
    either = np.maximum(_measure(ones) + _measure(others) - shared, _TINY)
    own = np.maximum(_measure(boxes), _TINY)[:, None]
    near: Mask = np.maximum(shared / either, shared / own) >= _CANDIDATE
    near &= (views[:, None] != views).any(axis=2)
    return near if nms == "all" else near & (found.classes[:, None] == found.classes)


def _is_same(new: _Object, old: _Object) -> bool:
    """Whether two masks agree where both views look, or the new one is a fragment that the old one covers."""
    common = count_pixels(combine_runs(new.bounds, old.bounds, least=2))
    if new.is_cut and not old.is_cut and common >= COVERED * count_pixels(new.bounds):
        return True
    window = _list_columns(_intersect(new.view, old.view), new.image)
    both = [combine_runs(each.bounds, window, least=2) for each in (new, old)]
    return common > 0 and common >= AGREEMENT * (sum(map(count_pixels, both)) - common)


def _list_columns(view: Ints, image: Size) -> Ints:
    """The pixels of a window as one run for each column: int64 [W, 2]."""
    left, top, right, bottom = view.tolist()
    runs: Ints = np.arange(left, right)[:, None] * image.height + np.array([top, bottom])
    return runs


def _intersect(ones: Boxes, others: Boxes) -> Boxes:
    """The common part of boxes [..., 4]; its sides are negative where there is none."""
    low = np.maximum(ones[..., :2], others[..., :2])
    return np.concatenate([low, np.minimum(ones[..., 2:], others[..., 2:])], axis=-1)


def _enclose(one: Boxes, other: Boxes) -> Boxes:
    low = np.minimum(one[:2], other[:2])
    return np.concatenate([low, np.maximum(one[2:], other[2:])])


def _measure(boxes: Floats) -> Floats:
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    areas: Floats = sides[..., 0] * sides[..., 1]
    return areas


def _collect(objects: Sequence[_Object], found: Detections) -> Detections:
    """The objects as detections; each keeps the class and score of the best that it is made of."""
    best = found.keep(np.array([each.members[0] for each in objects], np.int64))
    if not objects:
        return best
    splits = np.concatenate([[0], np.cumsum([len(each.bounds) for each in objects])])
    runs = Runs(found.runs.image, np.concatenate([each.bounds for each in objects]), splits)
    boxes, views = (np.stack([getattr(each, name) for each in objects]) for name in ("box", "view"))
    return replace(best, boxes_xyxy=boxes, views_xyxy=views, runs=runs)
