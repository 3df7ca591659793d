"""The report of a run: the ranking of pictures by their errors, and detections beside the ground truth."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.data.datasets import EvaluationSet
from training.report import GAP, HEIGHT, Case, draw_pair, make_segmentation, rank_pictures, stack_pairs


def box(image: int, left: int, category: int = 1, **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": [left, 0, 10, 10], **more}


def set_of(*objects: dict[str, Any], images: int = 3) -> dict[str, Any]:
    return {
        "images": [{"id": number, "height": 50, "width": 50} for number in range(1, images + 1)],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [{**item, "id": number, "area": 100} for number, item in enumerate(objects, 1)],
    }


def test_pictures_are_ranked_by_what_was_found_missed_and_made_up() -> None:
    content = set_of(box(1, 0), box(1, 20), box(2, 0), box(3, 0))
    found = [
        box(1, 0, score=0.9),
        box(3, 0, score=0.9),
        box(2, 30, score=0.8),
        box(2, 0, category=2, score=0.8),
    ]
    assert rank_pictures(content, found, "bbox", threshold=0.5) == [
        Case(2, found=0, missed=1, wrong=2),
        Case(1, found=1, missed=1, wrong=0),
        Case(3, found=1, missed=0, wrong=0),
    ]


def test_what_is_below_the_threshold_was_not_found() -> None:
    (case,) = rank_pictures(set_of(box(1, 0), images=1), [box(1, 0, score=0.4)], "bbox", threshold=0.5)
    assert (case.found, case.missed, case.f1) == (0, 1, 0.0)


def test_crowds_and_categories_that_are_not_labelled_completely_are_nobodys_fault() -> None:
    content = set_of(box(1, 0, iscrowd=1), images=1)
    content["images"][0]["exhaustive_category_ids"] = [1]
    found = [box(1, 0, score=0.9), box(1, 30, category=2, score=0.9)]
    assert rank_pictures(content, found, "bbox", threshold=0.5) == [Case(1, 0, 0, 0)]


def test_an_empty_picture_left_empty_is_perfect() -> None:
    assert Case(1, found=0, missed=0, wrong=0).f1 == 1.0


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
