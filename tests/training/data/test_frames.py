"""Labels of pictures that EXIF turns are read in the frame of the upright picture, or are refused."""

import json
from pathlib import Path
from typing import Any

import cv2
import pytest
from PIL import Image

from service.types import Size
from training.data.annotations import build_collection
from training.data.masks import decode_counts, encode_segmentation, mask_to_rle
from training.data.pictures import SWAPPED, read_image, turn_upright
from training.data.training_set import read_pixels
from training.data.validate import clean_content

INVERSE = {6: 8, 8: 6}  # the other orientations undo themselves


def store_turned(folder: Path, orientation: int) -> dict[str, Any]:
    """The tiny set's content, its pictures stored so that EXIF makes the old ones of them."""
    for path in (folder / "images").glob("*.png"):
        stored = turn_upright(read_image(path), INVERSE.get(orientation, orientation))
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(stored).save(path.with_suffix(".jpg"), exif=exif, quality=95)
        path.unlink()
    content: dict[str, Any] = json.loads((folder / "instances_train.json").read_text())
    for entry in content["images"]:
        entry["file_name"] = entry["file_name"].replace("png", "jpg")
    return content


def label_as_stored(content: dict[str, Any], orientation: int) -> dict[str, Any]:
    """The labels of a set in the frame of the stored pixels, as masks."""
    sizes = {entry["id"]: (entry["height"], entry["width"]) for entry in content["images"]}
    for item in content["annotations"]:
        mask = fill(item, sizes[item["image_id"]])
        turned = turn_upright(mask, INVERSE.get(orientation, orientation))
        item |= {"bbox": list(cv2.boundingRect(turned)), "segmentation": mask_to_rle(turned)}
    if orientation in SWAPPED:
        for entry in content["images"]:
            entry["height"], entry["width"] = entry["width"], entry["height"]
    return content


def fill(item: dict[str, Any], size: tuple[int, int]) -> Any:
    counts = encode_segmentation(item["segmentation"], Size(*size))
    assert counts is not None
    return decode_counts(counts, Size(*size))


def describe(content: dict[str, Any], images: Path) -> list[tuple[Any, Any]]:
    """The box of every object, and the mean colour of the picture under its mask."""
    found = []
    for picture in build_collection(content, images).pictures:
        pixels = read_pixels(picture)
        for item in picture.annotations:
            assert item.counts is not None
            mask = decode_counts(item.counts, picture.size)
            found.append((item.box_xywh, pixels[mask > 0].mean(axis=0)))
    return found


@pytest.mark.parametrize("orientation", range(1, 9))
def test_labels_as_seen_are_left_as_they_are(tiny_set: Path, orientation: int) -> None:
    images = tiny_set / "images"
    before = describe(json.loads((tiny_set / "instances_train.json").read_text()), images)
    content, faults = clean_content(store_turned(tiny_set, orientation), images)
    assert not faults
    for (box, colour), (expected_box, expected_colour) in zip(describe(content, images), before, strict=True):
        assert box == expected_box
        assert colour == pytest.approx(expected_colour, abs=8)


@pytest.mark.parametrize("orientation", sorted(SWAPPED))
def test_labels_as_stored_are_turned_if_the_size_says_so(tiny_set: Path, orientation: int) -> None:
    images = tiny_set / "images"
    before = describe(json.loads((tiny_set / "instances_train.json").read_text()), images)
    content, faults = clean_content(label_as_stored(store_turned(tiny_set, orientation), orientation), images)
    assert not faults
    for (box, colour), (expected_box, expected_colour) in zip(describe(content, images), before, strict=True):
        assert box == pytest.approx(expected_box)
        assert colour == pytest.approx(expected_colour, abs=8)


def test_a_polygon_as_stored_is_turned_too(tiny_set: Path) -> None:
    content = store_turned(tiny_set, 6)
    entry = content["images"][0]
    entry["height"], entry["width"] = 160, 120
    content["images"] = [entry]
    item = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 20, 30, 40]}
    content["annotations"] = [item | {"segmentation": [[10, 20, 40, 20, 40, 60, 10, 60]]}]
    cleaned, faults = clean_content(content, tiny_set / "images")
    assert not faults
    (turned,) = cleaned["annotations"]
    assert turned["bbox"] == [100, 10, 40, 30]
    assert turned["segmentation"] == [[140, 10, 140, 40, 100, 40, 100, 10]]


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_labels_as_stored_are_refused_if_the_size_cannot_tell(tiny_set: Path, orientation: int) -> None:
    content = label_as_stored(store_turned(tiny_set, orientation), orientation)
    cleaned, faults = clean_content(content, tiny_set / "images")
    assert not cleaned["images"]
    assert not cleaned["annotations"]
    assert {fault.where for fault in faults} == {"image 1 1.jpg", "image 2 2.jpg"}
    assert "fit the stored pixels" in faults[0].kind


def test_a_size_that_is_not_the_files_is_a_fault(tiny_set: Path) -> None:
    content = store_turned(tiny_set, 6)
    content["images"][0]["width"] += 1
    cleaned, (fault, *_) = clean_content(content, tiny_set / "images")
    assert fault.kind == "its size is not that of its file"
    assert [entry["id"] for entry in cleaned["images"]] == [2]
