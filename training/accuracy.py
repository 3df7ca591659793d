"""Average precision as COCO counts it, on plain and on federated sets."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from training.federation import Kind, Record, is_box_only, is_crowd, judged_pairs, keep_judged

IOU_50, IOU_75 = 0, 5  # places among COCO's thresholds 0.50:0.05:0.95
EVERYTHING = [0.0, float("inf")]  # all areas
SIZES = MappingProxyType(
    {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, float("inf"))}
)  # COCO's, in pixels of the image
HALF = 0.5


@dataclass(frozen=True, slots=True)
class SizeAccuracy:
    """Of the objects of one of COCO's sizes: AP in [0, 1], NaN where there are none."""

    name: str
    objects: int
    ap: float


@dataclass(frozen=True, slots=True)
class ClassAccuracy:
    """Of one category: APs in [0, 1], NaN where there is nothing to find."""

    name: str
    category_id: int
    objects: int
    ap: float
    ap50: float
    ap75: float
    sizes: tuple[SizeAccuracy, ...] = ()


@dataclass(frozen=True, slots=True)
class KindAccuracy:
    """Of masks or of boxes; the means are over the categories that have objects."""

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
        """Small, medium and large: the means over the categories that have objects of that size."""
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
    """precision: [thresholds, recalls, areas], all of them first and then each of SIZES."""
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
    """The score above which detections have the best F1 at IoU 0.5, over all categories, and that F1."""
    evaluator = match_detections(content, detections, kind)
    scores, hits = [], []
    for image in pick_matches(evaluator):
        counted = ~image["dtIgnore"][IOU_50].astype(bool)
        scores.append(np.array(image["dtScores"])[counted])
        hits.append(image["dtMatches"][IOU_50][counted] > 0)
    return _best_f1(
        np.concatenate([*scores, []]),
        np.concatenate([*hits, []]),
        sum(len(areas) for areas in _collect_areas(evaluator).values()),
    )


def match_detections(content: Record, detections: Sequence[Record], kind: Kind) -> COCOeval:
    """An evaluator with every detection matched, by the rules of `federation`."""
    pairs = judged_pairs(content, kind)
    objects = [_complete_object(item, kind) for item in keep_judged(content["annotations"], pairs)]
    found = [
        _complete_detection(item, number, kind)
        for number, item in enumerate(keep_judged(detections, pairs), 1)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = COCOeval(_index(content, objects), _index(content, found), kind)
        evaluator.params.areaRng = [EVERYTHING, *map(list, SIZES.values())]
        evaluator.params.areaRngLbl = ["all", *SIZES]
        evaluator.params.maxDets = [100]
        if kind == "segm":
            _forgive_box_crowds(evaluator)
        evaluator.evaluate()
    return evaluator


def pick_matches(evaluator: COCOeval) -> Iterator[Any]:
    """COCOeval's record of every image and category, of objects of whatever size."""
    return (image for image in evaluator.evalImgs if image is not None and image["aRng"] == EVERYTHING)


def _forgive_box_crowds(evaluator: COCOeval) -> None:
    """A crowd known as a box only takes every detection that has at least half of its box in it."""
    compute = evaluator.computeIoU

    def compute_iou(image_id: int, category_id: int) -> Any:
        ious = compute(image_id, category_id)
        # COCOeval orders both in this way before it compares them
        objects = evaluator._gts[image_id, category_id]
        order = np.argsort(
            [-item["score"] for item in evaluator._dts[image_id, category_id]], kind="mergesort"
        )
        found = [
            evaluator._dts[image_id, category_id][place] for place in order[: evaluator.params.maxDets[-1]]
        ]
        for column, item in enumerate(objects):
            if found and is_crowd(item) and item["box_only"]:
                ious[:, column] = _share_inside([each["bbox"] for each in found], item["bbox"]) >= HALF
        return ious

    evaluator.computeIoU = compute_iou


def _share_inside(
    boxes_xywh: Sequence[Sequence[float]], region_xywh: Sequence[float]
) -> npt.NDArray[np.float64]:
    shares: npt.NDArray[np.float64] = coco_mask.iou(
        np.array(boxes_xywh, np.float64), np.array([region_xywh], np.float64), [1]
    )[:, 0]
    return shares


def _complete_object(item: Record, kind: Kind) -> dict[str, Any]:
    """What COCOeval needs; a box stands in for a mask that is not known, which only crowds come here with."""
    x, y, width, height = item["bbox"]
    box_only = is_box_only(item)
    outline = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    return {
        **item,
        "area": item.get("area", width * height),
        "iscrowd": int(is_crowd(item)),
        "box_only": box_only,
        "segmentation": outline if box_only and kind == "segm" else item.get("segmentation"),
    }


def _complete_detection(item: Record, number: int, kind: Kind) -> dict[str, Any]:
    width, height = item["bbox"][2:]
    area = float(coco_mask.area(item["segmentation"])) if kind == "segm" else width * height
    return {**item, "id": number, "area": area, "iscrowd": 0}


def _index(content: Record, annotations: list[dict[str, Any]]) -> COCO:
    index = COCO()
    index.dataset = {
        "images": list(content["images"]),
        "categories": list(content["categories"]),
        "annotations": annotations,
    }
    index.createIndex()
    return index


def _collect_areas(evaluator: COCOeval) -> dict[int, npt.NDArray[np.float64]]:
    """The areas of the objects of each category, crowds left out."""
    areas: dict[int, list[float]] = {category: [] for category in evaluator.params.catIds}
    for item in evaluator.cocoGt.dataset["annotations"]:
        if not item["iscrowd"]:
            areas[item["category_id"]].append(item["area"])
    return {category: np.array(found, np.float64) for category, found in areas.items()}


def _mean_where(values: Sequence[float], counts: Sequence[int]) -> float:
    """The mean of those that are counted at all; NaN where none is."""
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
