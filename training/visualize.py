"""Pictures of ground truth and detections, side by side."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from service.inference.masks.overlay import draw_overlay
from service.types import BackendInfo, Instance, Pixels, Rle, Segmentation, Size
from training.data.datasets import EvaluationSet
from training.data.masks import encode_segmentation
from training.data.pictures import read_image

Record = Mapping[str, Any]
HEIGHT = 360  # pixels, of a pair
GAP = 8
NO_BACKEND = BackendInfo("none", "", "fp32", 0, (), ())


def draw_pair(data: EvaluationSet, entry: Record, detections: Iterable[Record]) -> Pixels:
    """A picture with its annotations, and beside it with its detections: uint8 [HEIGHT, W, 3]."""
    pixels = read_image(data.images / entry["file_name"])
    names = {category["id"]: category["name"] for category in data.content["categories"]}
    sides = [
        [item for item in items if item["image_id"] == entry["id"]]
        for items in (data.content["annotations"], detections)
    ]
    drawn = [_fit(draw_overlay(pixels, make_segmentation(pixels, items, names))) for items in sides]
    gap = np.full((HEIGHT, GAP, 3), 255, np.uint8)
    return np.concatenate([drawn[0], gap, drawn[1]], axis=1)


def make_segmentation(pixels: Pixels, items: Sequence[Record], names: Mapping[int, str]) -> Segmentation:
    """One picture's annotations or detections as an answer of the service, the highest score first."""
    size = Size(*pixels.shape[:2])
    ordered = sorted(items, key=lambda item: -item.get("score", 1.0))
    instances = tuple(_make_instance(item, names[item["category_id"]], size) for item in ordered)
    return Segmentation(size, instances, model="", version="", backend=NO_BACKEND)


def _make_instance(item: Record, label: str, size: Size) -> Instance:
    counts = encode_segmentation(item.get("segmentation"), size)
    x, y, width, height = map(float, item["bbox"])
    return Instance(
        label=label,
        category_id=item["category_id"],
        score=item.get("score", 1.0),
        bbox=(x, y, width, height),
        area=None,
        segmentation=None if counts is None else Rle(size, counts.decode()),
    )


def _fit(pixels: Pixels) -> Pixels:
    width = max(1, round(pixels.shape[1] * HEIGHT / pixels.shape[0]))
    shrinks = pixels.shape[0] > HEIGHT
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(pixels, (width, HEIGHT), interpolation=kind).astype(np.uint8, copy=False)


def stack_pairs(pairs: Sequence[Pixels]) -> Pixels:
    """At least one pair, stacked and padded to the widest: uint8 [N * HEIGHT, W, 3]."""
    width = max(pair.shape[1] for pair in pairs)
    rows = [np.pad(pair, ((0, 0), (0, width - pair.shape[1]), (0, 0)), constant_values=255) for pair in pairs]
    return np.concatenate(rows)
