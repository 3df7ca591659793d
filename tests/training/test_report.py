"""The ranking of pictures by their errors."""

from typing import Any

from training.report import Case, rank_pictures


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
