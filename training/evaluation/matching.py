"""Which detection is which object: COCO's matching, on plain and on federated sets."""

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


def judged_pairs(content: Record, kind: Kind) -> frozenset[Pair]:
    """The (image, category) pairs that count.

    For masks a pair drops out when one of its objects is box_only, since a detection of it could not be told
    from a false one; a crowd that is box_only leaves it in.
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


def keep_judged(items: Iterable[Record], pairs: frozenset[Pair]) -> list[Record]:
    """The annotations or detections of those pairs."""
    return [item for item in items if _pair(item) in pairs]


def is_box_only(annotation: Record) -> bool:
    """Whether its mask is unknown: it says so, or has none."""
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
