"""AP by COCO's rules and by the rules for incomplete labels."""

import math
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from training.data.masks import Bitmap
from training.evaluation.accuracy import best_threshold, measure_accuracy

Record = dict[str, Any]
PERFECT = pytest.approx(1.0)


def block(left: int, top: int, right: int, bottom: int) -> Bitmap:
    mask = np.zeros((100, 100), np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def shift(mask: Bitmap, pixels: int) -> Bitmap:
    return np.roll(mask, (pixels, pixels), axis=(0, 1))


def describe(mask: Bitmap, category: int, image: int) -> Record:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    counts = coco_mask.encode(np.asfortranarray(mask))["counts"].decode()
    return {
        "image_id": image,
        "category_id": category,
        "bbox": [float(columns[0]), float(rows[0]), float(np.ptp(columns) + 1), float(np.ptp(rows) + 1)],
        "segmentation": {"size": [100, 100], "counts": counts},
    }


def annotate(mask: Bitmap, *, category: int = 1, image: int = 1, **extra: Any) -> Record:
    return describe(mask, category, image) | {"iscrowd": 0, "area": int(mask.sum())} | extra


def detect(mask: Bitmap, *, category: int = 1, image: int = 1, score: float = 0.9) -> Record:
    return describe(mask, category, image) | {"score": score}


def make_content(*annotations: Record, images: tuple[Record, ...] = ({}, {})) -> Record:
    return {
        "images": [
            {"id": number, "width": 100, "height": 100, **extra} for number, extra in enumerate(images, 1)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [{**item, "id": number} for number, item in enumerate(annotations, 1)],
    }


LEFT, RIGHT = block(5, 5, 45, 45), block(55, 50, 95, 95)
EVERYTHING = make_content(
    annotate(LEFT), annotate(RIGHT), annotate(RIGHT, category=2), annotate(LEFT, image=2, category=2)
)


def perfect(content: Record) -> list[Record]:
    return [{**item, "score": 0.5 + item["id"] / 100} for item in content["annotations"]]


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_the_ground_truth_as_detections_is_perfect(kind: Any) -> None:
    accuracy = measure_accuracy(EVERYTHING, perfect(EVERYTHING), kind)
    assert accuracy.ap == accuracy.ap50 == PERFECT
    assert accuracy.objects == 4


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_shifted_detections_are_clearly_worse(kind: Any) -> None:
    moved = [
        detect(shift(mask, 5), category=category, image=image)
        for mask, category, image in [(LEFT, 1, 1), (RIGHT, 1, 1), (RIGHT, 2, 1), (LEFT, 2, 2)]
    ]
    accuracy = measure_accuracy(EVERYTHING, moved, kind)
    assert accuracy.ap50 == PERFECT
    assert accuracy.ap < 0.4


def test_no_detections_are_zero_not_unknown() -> None:
    accuracy = measure_accuracy(EVERYTHING, [], "segm")
    assert (accuracy.ap, accuracy.ap50) == (0.0, 0.0)


def test_a_category_with_nothing_to_find_is_out_of_the_mean() -> None:
    content = make_content(annotate(LEFT))
    accuracy = measure_accuracy(content, [*perfect(content), detect(RIGHT, category=2)], "segm")
    assert accuracy.ap == PERFECT
    assert [item.objects for item in accuracy.classes] == [1, 0]
    assert math.isnan(accuracy.classes[1].ap)


def test_a_mask_of_the_right_box_and_the_wrong_shape_is_right_for_boxes_only() -> None:
    content = make_content(annotate(LEFT))
    frame = LEFT.copy()
    frame[7:43, 7:43] = 0
    found = [detect(frame)]
    assert measure_accuracy(content, found, "bbox").ap == PERFECT
    assert measure_accuracy(content, found, "segm").ap == 0.0


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_categories_that_are_not_exhaustive_are_not_evaluated_in_that_image(kind: Any) -> None:
    images = ({"exhaustive_category_ids": [1]}, {"exhaustive_category_ids": [1, 2]})
    content = make_content(
        annotate(LEFT), annotate(RIGHT, category=2), annotate(LEFT, category=2, image=2), images=images
    )
    found = [
        detect(LEFT),
        detect(LEFT, category=2, score=0.99),  # would be false, if it were evaluated
        detect(LEFT, category=2, image=2),
    ]
    accuracy = measure_accuracy(content, found, kind)
    assert accuracy.ap == PERFECT
    assert accuracy.objects == 2


def test_an_object_without_mask_counts_for_boxes_and_takes_its_category_out_of_that_images_masks() -> None:
    content = make_content(
        annotate(LEFT),
        annotate(RIGHT, segmentation=[], box_only=True),
        annotate(LEFT, image=2),
    )
    found = [detect(LEFT, image=2), detect(RIGHT)]
    masks, boxes = (measure_accuracy(content, found, kind) for kind in ("segm", "bbox"))
    assert masks.ap == PERFECT
    assert masks.objects == 1
    assert boxes.objects == 3
    assert boxes.ap == pytest.approx(2 / 3, abs=0.01)


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_a_crowd_with_a_mask_is_an_ignored_region(kind: Any) -> None:
    content = make_content(annotate(LEFT), annotate(block(50, 0, 100, 100), iscrowd=1))
    inside = detect(block(60, 60, 80, 80), score=0.99)
    assert measure_accuracy(content, [inside, detect(LEFT)], kind).ap == PERFECT


@pytest.mark.parametrize("kind", ["segm", "bbox"])
@pytest.mark.parametrize(("left", "forgiven"), [(40, True), (39, False)])
def test_a_crowd_known_as_a_box_forgives_detections_that_lie_half_in_it(
    kind: Any, left: int, forgiven: bool
) -> None:
    """The box from x = 50 on; 20 pixels wide, a detection at 40 lies half in it, one at 39 less."""
    crowd = annotate(block(50, 50, 100, 100), iscrowd=1, box_only=True, segmentation=[])
    content = make_content(annotate(block(5, 5, 45, 45)), crowd)
    found = [detect(block(left, 60, left + 20, 80), score=0.99), detect(block(5, 5, 45, 45))]
    ap50 = measure_accuracy(content, found, kind).ap50
    assert ap50 == pytest.approx(1.0 if forgiven else 0.5)


def test_a_detection_in_a_box_crowd_that_matches_an_object_is_not_ignored() -> None:
    crowd = annotate(block(0, 0, 100, 100), iscrowd=1, box_only=True, segmentation=[])
    content = make_content(crowd, annotate(LEFT), annotate(RIGHT))
    assert measure_accuracy(content, [detect(RIGHT), detect(LEFT, score=0.1)], "segm").ap == PERFECT
    assert measure_accuracy(content, [detect(RIGHT)], "segm").ap == pytest.approx(0.5, abs=0.01)


def test_the_crowd_is_found_again_whatever_the_order_of_detections() -> None:
    """Among many detections in any order, exactly those in the crowd's box are forgiven."""
    crowd = annotate(block(50, 0, 100, 100), iscrowd=1, box_only=True, segmentation=[])
    content = make_content(annotate(LEFT), crowd)
    scores = [0.2, 0.95, 0.5, 0.7]
    inside = [
        detect(block(60, top, 90, top + 10), score=score)
        for top, score in zip((0, 20, 40, 60), scores, strict=True)
    ]
    found = [*inside[:2], detect(LEFT, score=0.1), *inside[2:]]
    assert measure_accuracy(content, found, "segm").ap == PERFECT
    outside = detect(block(0, 60, 30, 90), score=0.6)
    assert measure_accuracy(content, [*found, outside], "segm").ap == pytest.approx(0.5)


def test_the_means_can_be_over_some_categories() -> None:
    found = [item for item in perfect(EVERYTHING) if item["category_id"] == 1]
    accuracy = measure_accuracy(EVERYTHING, found, "segm")
    assert accuracy.ap == 0.5
    assert accuracy.keep_categories(frozenset({1})).ap == PERFECT
    assert accuracy.keep_categories(None) == accuracy


def test_the_best_threshold_is_the_score_of_the_last_detection_worth_keeping() -> None:
    content = make_content(annotate(LEFT), annotate(RIGHT))
    found = [
        detect(LEFT, score=0.9),
        detect(RIGHT, score=0.4),
        detect(block(0, 60, 20, 80), score=0.3),
        detect(LEFT, image=2, score=0.2),
    ]
    assert best_threshold(content, found) == (0.4, 1.0)


def test_without_detections_there_is_still_a_threshold() -> None:
    assert best_threshold(EVERYTHING, []) == (0.5, 0.0)


def test_ap75_asks_for_more_overlap_than_ap50() -> None:
    shifted = [detect(shift(LEFT, 4))]  # 36 of 44 columns and rows overlap: IoU 0.68
    accuracy = measure_accuracy(make_content(annotate(LEFT)), shifted, "segm")
    assert accuracy.ap50 == PERFECT
    assert accuracy.ap75 == 0


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_small_medium_and_large_objects_are_evaluated_by_themselves(kind: Any) -> None:
    small, medium, large = block(0, 0, 9, 9), block(0, 20, 40, 60), block(0, 0, 98, 99)
    content = make_content(
        annotate(small), annotate(medium), annotate(large, image=2), annotate(medium, category=2)
    )
    found = [detect(small), detect(large, image=2), detect(medium, category=2)]
    sizes = measure_accuracy(content, found, kind).sizes
    assert [(item.name, item.objects) for item in sizes] == [("small", 1), ("medium", 2), ("large", 1)]
    assert [item.ap for item in sizes] == pytest.approx([1, 0.5, 1])


def test_the_size_of_a_found_mask_is_its_own_and_not_its_boxs() -> None:
    """A thin frame of less than 32 x 32 pixels around most of the picture; found where there is nothing."""
    frame = block(0, 0, 90, 90) & ~block(2, 2, 88, 88)
    large = block(0, 0, 99, 99)
    content = make_content(annotate(large), images=({}, {}))
    found = [detect(frame, image=2, score=0.99), detect(large)]
    by_size = {item.name: item.ap for item in measure_accuracy(content, found, "segm").sizes}
    assert by_size["large"] == PERFECT
    assert measure_accuracy(content, found, "segm").ap == pytest.approx(0.5)


def test_the_sizes_of_some_categories_are_theirs_alone() -> None:
    content = make_content(annotate(block(0, 0, 9, 9)), annotate(block(0, 0, 9, 9), category=2))
    accuracy = measure_accuracy(content, [detect(block(0, 0, 9, 9))], "segm")
    assert [item.objects for item in accuracy.sizes] == [2, 0, 0]
    kept = accuracy.keep_categories(frozenset({2}))
    assert [(item.objects, item.ap) for item in kept.sizes][:1] == [(1, 0.0)]
    assert math.isnan(kept.sizes[2].ap)


@pytest.mark.parametrize("ids", [[0, 1], [None, None], ["a", "b"], [5, 5], [{}, []]])
@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_the_ids_of_annotations_do_not_matter(kind: Any, ids: list[object]) -> None:
    content = make_content(annotate(LEFT), annotate(RIGHT))
    for item, value in zip(content["annotations"], ids, strict=True):
        item["id"] = value
        if value is None:
            del item["id"]
    assert measure_accuracy(content, [detect(LEFT), detect(RIGHT)], kind).ap == PERFECT


def test_a_box_of_nan_is_no_hit() -> None:
    found = detect(LEFT) | {"bbox": [float("nan")] * 4}
    assert measure_accuracy(make_content(annotate(LEFT)), [found], "bbox").ap == 0
    assert measure_accuracy(
        make_content(annotate(LEFT)), [found, detect(LEFT, score=0.5)], "bbox"
    ).ap == pytest.approx(0.5)
