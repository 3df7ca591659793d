"""COCO's matching of detections and objects, on plain and on federated data sets.

An image with `exhaustive_category_ids` is evaluated in these categories alone; a plain COCO image, which has
no such field, in all. `box_only` marks an object with a box and no mask.
"""

import contextlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

Kind: TypeAlias = Literal["segm", "bbox"]
Record: TypeAlias = Mapping[str, Any]
Pair: TypeAlias = tuple[int, int]  # image id, category id


def evaluated_pairs(content: Record, kind: Kind) -> frozenset[Pair]:
    """The (image, category) pairs that are evaluated.

    For masks, a pair with a box_only object is left out, because a right detection of it could not be
    recognised. A box_only crowd is no reason to leave a pair out.
    """
    everything = [category["id"] for category in content["categories"]]
    pairs = {
        (image["id"], category)
        for image in content["images"]
        for category in image.get("exhaustive_category_ids", everything)
    }
    if kind == "segm":
        pairs -= {_pair(item) for item in content["annotations"] if is_box_only(item) and not is_crowd(item)}
    return frozenset(pairs)


def keep_evaluated(items: Iterable[Record], pairs: frozenset[Pair]) -> list[Record]:
    """The annotations or detections of these pairs."""
    return [item for item in items if _pair(item) in pairs]


def is_box_only(annotation: Record) -> bool:
    """True if its mask is unknown: it is marked as box_only, or has no mask."""
    return bool(annotation.get("box_only")) or not annotation.get("segmentation")


def is_crowd(annotation: Record) -> bool:
    return bool(annotation.get("iscrowd"))


def _pair(item: Record) -> Pair:
    return item["image_id"], item["category_id"]


EVERYTHING = [0.0, float("inf")]  # all areas
SIZES = MappingProxyType(
    {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, float("inf"))}
)  # COCO's, in pixels of the image
HALF = 0.5


def match_detections(content: Record, detections: Sequence[Record], kind: Kind) -> COCOeval:
    """A COCOeval after the matching, by the rules for federated data sets."""
    pairs = evaluated_pairs(content, kind)
    objects = [
        _complete_object(item, number, kind)
        for number, item in enumerate(keep_evaluated(content["annotations"], pairs), 1)
    ]
    found = [
        _complete_detection(item, number, kind)
        for number, item in enumerate(keep_evaluated(detections, pairs), 1)
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
    """COCOeval's records of all images and categories, for objects of all sizes."""
    return (image for image in evaluator.evalImgs if image is not None and image["aRng"] == EVERYTHING)


def _forgive_box_crowds(evaluator: COCOeval) -> None:
    """Makes a box_only crowd an ignore region for detections with at least half of their box in it."""
    compute = evaluator.computeIoU

    def compute_iou(image_id: int, category_id: int) -> Any:
        ious = compute(image_id, category_id)
        # COCOeval sorts both in this way before it compares them
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


def _complete_object(item: Record, number: int, kind: Kind) -> dict[str, Any]:
    """The fields that COCOeval needs; a crowd without a mask gets its box as a mask.

    COCOeval takes an object with the id 0 for none, and keeps one of two objects with the same id. Every
    object therefore gets a new number.
    """
    x, y, width, height = bbox = _place_box(item["bbox"])
    box_only = is_box_only(item)
    outline = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    return {
        **item,
        "id": number,
        "bbox": bbox,
        "area": item.get("area", width * height),
        "iscrowd": int(is_crowd(item)),
        "box_only": box_only,
        "segmentation": outline if box_only and kind == "segm" else item.get("segmentation"),
    }


def _complete_detection(item: Record, number: int, kind: Kind) -> dict[str, Any]:
    bbox = _place_box(item["bbox"])
    area = float(coco_mask.area(item["segmentation"])) if kind == "segm" else bbox[2] * bbox[3]
    return {**item, "id": number, "bbox": bbox, "area": area, "iscrowd": 0}


def _place_box(box_xywh: Sequence[float]) -> list[float]:
    """The box, or one outside every image if it is not of finite numbers.

    COCOeval takes NaN, the IoU of such a box, for a match.
    """
    return list(box_xywh) if np.isfinite(box_xywh).all() else [-2.0, -2.0, 1.0, 1.0]


def _index(content: Record, annotations: list[dict[str, Any]]) -> COCO:
    index = COCO()
    index.dataset = {
        "images": list(content["images"]),
        "categories": list(content["categories"]),
        "annotations": annotations,
    }
    index.createIndex()
    return index
