"""COCO files, plain and federated, as records."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from service.types import Size
from training.data.annotations import Picture, read_collection
from training.data.masks import decode_counts, encode_segmentation

SIZE = Size(6, 8)
MASK = np.zeros((6, 8), np.uint8)
MASK[1:4, 2:7] = 1
POLYGON = [[2, 1, 7, 1, 7, 4, 2, 4]]
UNCOMPRESSED = {"size": [6, 8], "counts": [13, 3, 3, 3, 3, 3, 3, 3, 3, 3, 8]}
COMPRESSED = {"size": [6, 8], "counts": coco_mask.encode(np.asfortranarray(MASK))["counts"].decode()}


@pytest.mark.parametrize("segmentation", [POLYGON, UNCOMPRESSED, COMPRESSED])
def test_every_way_to_write_a_mask_reads_the_same(segmentation: Any) -> None:
    counts = encode_segmentation(segmentation, SIZE)
    assert counts is not None
    assert (decode_counts(counts, SIZE) == MASK).all()


def test_a_mask_of_several_polygons_is_their_union() -> None:
    counts = encode_segmentation([[2, 1, 4, 1, 4, 4, 2, 4], [4, 1, 7, 1, 7, 4, 4, 4]], SIZE)
    assert counts is not None
    assert (decode_counts(counts, SIZE) == MASK).all()


@pytest.mark.parametrize("segmentation", [None, [], {}, [[2.1, 2.1, 2.2, 2.1, 2.2, 2.2]]])
def test_no_mask_is_none(segmentation: Any) -> None:
    assert encode_segmentation(segmentation, SIZE) is None


def test_a_mask_of_another_size_than_its_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"its mask is \[6, 8\], its image \[6, 9\]"):
        encode_segmentation(COMPRESSED, Size(6, 9))


def change(folder: Path, **updates: Any) -> Path:
    """The folder's annotation file with other top-level entries."""
    file = folder / "instances_train.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | updates))
    return file


def read(folder: Path, *, trust_absence: bool = True) -> tuple[Picture, ...]:
    file = folder / "instances_train.json"
    return read_collection(file, folder / "images", trust_absence=trust_absence).pictures


def test_labels_are_numbered_in_the_files_order(tiny_set: Path) -> None:
    collection = read_collection(tiny_set / "instances_train.json", tiny_set / "images")
    assert [(label.category_id, label.name) for label in collection.labels] == [(7, "disc"), (3, "square")]
    assert [item.label for item in collection.pictures[0].annotations] == [0, 1]


def test_a_plain_coco_image_is_completely_labelled(tiny_set: Path) -> None:
    assert [picture.unlabelled for picture in read(tiny_set)] == [frozenset(), frozenset()]


@pytest.mark.parametrize(("trust_absence", "unlabelled"), [(True, set()), (False, {0})])
def test_categories_that_are_neither_exhaustive_nor_absent_are_unlabelled(
    tiny_set: Path, trust_absence: bool, unlabelled: set[int]
) -> None:
    images = json.loads((tiny_set / "instances_train.json").read_text())["images"]
    images[0] |= {"exhaustive_category_ids": [3], "assumed_absent_category_ids": [7]}
    images[1] |= {"exhaustive_category_ids": [7]}
    change(tiny_set, images=images)
    first, second = read(tiny_set, trust_absence=trust_absence)
    assert first.unlabelled == unlabelled
    assert second.unlabelled == {1}


def test_box_only_and_crowd_are_kept_apart(tiny_set: Path) -> None:
    annotations = json.loads((tiny_set / "instances_train.json").read_text())["annotations"]
    annotations[0] |= {"segmentation": [], "box_only": True}
    annotations[1] |= {"iscrowd": 1}
    change(tiny_set, annotations=annotations)
    boxed, crowd = read(tiny_set)[0].annotations
    assert (boxed.counts, boxed.ignored) == (None, False)
    assert crowd.counts is not None
    assert crowd.ignored


@pytest.mark.parametrize("fault", [{"category_id": 99}, {"bbox": [1, 2, 3]}, {"segmentation": [[1, 2]]}])
def test_an_unreadable_annotation_is_named(tiny_set: Path, fault: dict[str, Any]) -> None:
    annotations = json.loads((tiny_set / "instances_train.json").read_text())["annotations"]
    annotations[2] |= fault
    change(tiny_set, annotations=annotations)
    with pytest.raises(ValueError, match="annotation 3 of image 2"):
        read(tiny_set)


def test_the_generated_masks_are_what_was_drawn(tiny_set: Path) -> None:
    """The set the other tests build on: each mask fills its box and has its area."""
    content = json.loads((tiny_set / "instances_train.json").read_text())
    records = [item for picture in read(tiny_set) for item in picture.annotations]
    for item, record in zip(content["annotations"], records, strict=True):
        image = content["images"][item["image_id"] - 1]
        assert record.counts is not None
        mask = decode_counts(record.counts, Size(image["height"], image["width"]))
        assert mask.sum() == item["area"]
        assert list(cv2.boundingRect(mask)) == item["bbox"]
