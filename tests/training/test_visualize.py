"""Pictures of ground truth beside detections."""

import json
from pathlib import Path

import numpy as np
import pytest

from training.data.datasets import EvaluationSet
from training.visualize import GAP, HEIGHT, draw_pair, make_segmentation, stack_pairs


@pytest.fixture
def evaluation_set(tiny_set: Path) -> EvaluationSet:
    return EvaluationSet(
        json.loads((tiny_set / "instances_train.json").read_text()), tiny_set / "images", "all"
    )


def test_the_left_has_the_annotations_and_the_right_the_detections(evaluation_set: EvaluationSet) -> None:
    entry = evaluation_set.content["images"][0]
    empty = draw_pair(evaluation_set, entry, [])
    width = (empty.shape[1] - GAP) // 2
    assert empty.shape == (HEIGHT, 480 * 2 + GAP, 3)
    left, right = empty[:, :width], empty[:, -width:]
    assert (left != right).any()
    truth = [{**item, "score": 1.0} for item in evaluation_set.content["annotations"]]
    perfect = draw_pair(evaluation_set, entry, truth)
    assert (perfect[:, :width] == perfect[:, -width:]).all()


def test_the_surest_comes_first_and_a_box_needs_no_mask() -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    items = [
        {"category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.2, "segmentation": [[0, 0, 9, 0, 9, 9]]},
        {"category_id": 1, "bbox": [0, 0, 5, 5], "score": 0.8},
    ]
    first, second = make_segmentation(pixels, items, {1: "cat"}).instances
    assert (first.score, first.segmentation) == (0.8, None)
    assert second.segmentation is not None


def test_pairs_of_different_widths_are_stacked() -> None:
    pairs = [np.zeros((HEIGHT, width, 3), np.uint8) for width in (5, 9)]
    assert stack_pairs(pairs).shape == (2 * HEIGHT, 9, 3)
