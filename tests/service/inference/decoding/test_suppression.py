"""Of instances in the same place the best stays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from service.inference.decoding.suppression import keep_best
from service.types import Floats


def make_boxes(count: int, seed: int) -> Floats:
    corners = np.random.default_rng(seed).integers(0, 6, (count, 2, 2)).astype(np.float32)
    return np.concatenate([corners.min(axis=1), corners.max(axis=1) + 1], axis=1)


@given(count=st.integers(0, 12), seed=st.integers(0, 999), most=st.sampled_from([0.3, 0.5, 0.6, 0.99]))
def test_it_keeps_what_greedy_suppression_keeps(count: int, seed: int, most: float) -> None:
    boxes = make_boxes(count, seed)
    classes = np.random.default_rng(seed).integers(0, 2, count)
    corners_xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).astype(np.float64)
    kept: list[int] = []
    for number in range(count):
        rivals = [other for other in kept if classes[other] == classes[number]]
        ious = (
            coco_mask.iou(corners_xywh[[number]], corners_xywh[rivals], [0] * len(rivals)) if rivals else []
        )
        if not (np.array(ious) > most).any():
            kept.append(number)
    assert keep_best(boxes, classes, most).tolist() == kept


@pytest.mark.parametrize(("classes", "kept"), [([0, 0, 0], [0, 2]), ([0, 1, 0], [0, 1, 2])])
def test_only_a_better_one_of_the_same_class_is_a_rival(classes: list[int], kept: list[int]) -> None:
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 8], [0, 0, 9, 6]], np.float32)
    assert keep_best(boxes, np.array(classes), 0.7).tolist() == kept


def test_a_box_without_area_clashes_with_nothing() -> None:
    boxes = np.array([[3, 3, 3, 3], [3, 3, 3, 3], [5, 5, 2, 9]], np.float32)
    assert keep_best(boxes, np.zeros(3, np.int64), 0.5).tolist() == [0, 1, 2]
