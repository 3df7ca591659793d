"""COCO's average precision, on plain and on federated data sets."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pycocotools.cocoeval import COCOeval

from training.evaluation.matching import SIZES, Kind, Record, match_detections, pick_matches

IOU_50, IOU_75 = 0, 5  # indices into COCO's thresholds 0.50:0.05:0.95


@dataclass(frozen=True, slots=True)
class SizeAccuracy:
    """For one of COCO's object sizes: AP in [0, 1], NaN without objects."""

    name: str
    objects: int
    ap: float


@dataclass(frozen=True, slots=True)
class ClassAccuracy:
    """For one category: APs in [0, 1], NaN without objects."""

    name: str
    category_id: int
    objects: int
    ap: float
    ap50: float
    ap75: float
    sizes: tuple[SizeAccuracy, ...] = ()


@dataclass(frozen=True, slots=True)
class KindAccuracy:
    """For masks or boxes; the means are over the categories that have objects."""

    kind: Kind
    classes: tuple[ClassAccuracy, ...]

    @property
    def ap(self) -> float:
        return _mean_where([item.ap for item in self.classes], self._counts)

    @property
    def ap50(self) -> float:
        return _mean_where([item.ap50 for item in self.classes], self._counts)

    @property
    def ap75(self) -> float:
        return _mean_where([item.ap75 for item in self.classes], self._counts)

    @property
    def sizes(self) -> tuple[SizeAccuracy, ...]:
        """Small, medium and large objects: the means over the categories that have some."""
        found = []
        for same in zip(*(item.sizes for item in self.classes), strict=True):
            counts = [item.objects for item in same]
            ap = _mean_where([item.ap for item in same], counts)
            found.append(SizeAccuracy(same[0].name, sum(counts), ap))
        return tuple(found)

    @property
    def _counts(self) -> list[int]:
        return [item.objects for item in self.classes]

    @property
    def objects(self) -> int:
        return sum(item.objects for item in self.classes)

    def keep_categories(self, categories: frozenset[int] | None) -> "KindAccuracy":
        """The same of some categories only; of all where it is None."""
        kept = (item for item in self.classes if categories is None or item.category_id in categories)
        return KindAccuracy(self.kind, tuple(kept))


def measure_accuracy(content: Record, detections: Sequence[Record], kind: Kind) -> KindAccuracy:
    """COCO's AP of detections (dicts as in COCO's results file) against a COCO file's content.

    At most 100 detections per image and category. Categories with nothing to find are left in the list with
    0 objects, out of the means.
    """
    evaluator = match_detections(content, detections, kind)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.accumulate()
    precision = evaluator.eval["precision"][..., 0]  # [thresholds, recalls, categories, areas]
    areas = _collect_areas(evaluator)
    return KindAccuracy(
        kind,
        tuple(
            _rate_class(category, precision[:, :, number], areas[category["id"]])
            for number, category in enumerate(sorted(content["categories"], key=lambda item: item["id"]))
        ),
    )


def _rate_class(
    category: Record, precision: npt.NDArray[np.float64], areas: npt.NDArray[np.float64]
) -> ClassAccuracy:
    """precision: [thresholds, recalls, areas]; the first area is all sizes, then follow SIZES."""
    sizes = (
        SizeAccuracy(name, int(((areas >= low) & (areas <= high)).sum()), _mean(precision[:, :, number]))
        for number, (name, (low, high)) in enumerate(SIZES.items(), 1)
    )
    return ClassAccuracy(
        name=category["name"],
        category_id=category["id"],
        objects=len(areas),
        ap=_mean(precision[:, :, 0]),
        ap50=_mean(precision[IOU_50, :, 0]),
        ap75=_mean(precision[IOU_75, :, 0]),
        sizes=tuple(sizes),
    )


def best_threshold(content: Record, detections: Sequence[Record], kind: Kind = "segm") -> tuple[float, float]:
    """The score threshold with the best F1 at IoU 0.5 over all categories, and that F1."""
    return _best_f1(*judge_scores(content, detections, kind))


def judge_scores(
    content: Record, detections: Sequence[Record], kind: Kind = "segm"
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], int]:
    """Scores [N] of the detections that count, 1 for each that is right at IoU 0.5 [N], number of objects."""
    evaluator = match_detections(content, detections, kind)
    scores, hits = [], []
    for image in pick_matches(evaluator):
        counted = ~image["dtIgnore"][IOU_50].astype(bool)
        scores.append(np.array(image["dtScores"])[counted])
        hits.append(image["dtMatches"][IOU_50][counted] > 0)
    objects = sum(len(areas) for areas in _collect_areas(evaluator).values())
    return np.concatenate([*scores, []]), np.concatenate([*hits, []]), objects


def _collect_areas(evaluator: COCOeval) -> dict[int, npt.NDArray[np.float64]]:
    """The areas of each category's objects, without crowds."""
    areas: dict[int, list[float]] = {category: [] for category in evaluator.params.catIds}
    for item in evaluator.cocoGt.dataset["annotations"]:
        if not item["iscrowd"]:
            areas[item["category_id"]].append(item["area"])
    return {category: np.array(found, np.float64) for category, found in areas.items()}


def _mean_where(values: Sequence[float], counts: Sequence[int]) -> float:
    """The mean of the values with a positive count; NaN if there are none."""
    known = [value for value, count in zip(values, counts, strict=True) if count]
    return float(np.mean(known or [np.nan]))


def _mean(precisions: npt.NDArray[np.float64]) -> float:
    known = precisions[precisions > -1]
    return float(known.mean()) if known.size else float("nan")


def _best_f1(
    scores: npt.NDArray[np.float64], hits: npt.NDArray[np.float64], objects: int
) -> tuple[float, float]:
    """
    >>> _best_f1(np.array([0.9, 0.8, 0.3]), np.array([1, 1, 0]), 2)
    (0.8, 1.0)
    """
    if not scores.size or not objects:
        return 0.5, 0.0
    order = np.argsort(-scores, kind="mergesort")
    found = np.cumsum(hits[order])
    f1 = 2 * found / (np.arange(1, len(found) + 1) + objects)
    best = int(f1.argmax())
    return float(scores[order][best]), float(f1[best])
