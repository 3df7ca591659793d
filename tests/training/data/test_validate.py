"""Faults of data are left out and counted, or refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from training.data.annotations import build_collection
from training.data.faults import DataRefused, describe_faults, refuse_faults
from training.data.validate import clean_content, read_content

SIZE = [120, 160]  # of the first picture


def spoil(folder: Path, **changes: Any) -> dict[str, Any]:
    """The tiny set's content with its first annotation changed."""
    content: dict[str, Any] = json.loads((folder / "instances_train.json").read_text())
    content["annotations"][0] |= changes
    return content


@pytest.mark.parametrize(
    ("text", "reason"),
    [("{", "not JSON"), ("[]", "not in COCO's format"), ('{"images": []}', "not in COCO's format")],
)
def test_what_is_no_coco_file_is_refused_by_name(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(DataRefused, match=rf"labels\.json is {reason}"):
        read_content(tmp_path / "labels.json")


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"segmentation": []}, "it has no mask"),
        ({"segmentation": None}, "it has no mask"),
        ({"segmentation": [[1, 2, 3, 4]]}, "fewer than three points"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "half a point"),
        ({"segmentation": [[0, 0, 10, 10, 20, 20]]}, "no area"),
        ({"segmentation": [[1, 2, 3, 4, 5, float("nan")]]}, "neither polygons nor RLE"),
        ({"segmentation": "a mask"}, "neither polygons nor RLE"),
        ({"segmentation": [[0, 0, 9, 0, 9, 9], {"size": SIZE, "counts": [19200]}]}, "mixes polygons and RLE"),
        ({"segmentation": {"size": [120, 161], "counts": [1]}}, "another size than its image"),
        ({"segmentation": {"size": SIZE, "counts": [5, 5]}}, "does not fill"),
        ({"segmentation": {"size": SIZE, "counts": [19210, -10]}}, "does not fill"),
        ({"segmentation": {"size": SIZE, "counts": [19200]}}, "no area"),
        ({"segmentation": {"size": SIZE, "counts": "not RLE!"}}, "cannot be read"),
        ({"segmentation": {"size": SIZE, "counts": 7}}, "cannot be read"),
    ],
)
def test_an_object_whose_mask_is_bad_is_known_by_its_box(
    tiny_set: Path, change: dict[str, Any], kind: str
) -> None:
    content, (fault,) = clean_content(spoil(tiny_set, **change), tiny_set / "images")
    assert kind in fault.kind
    assert fault.where == "annotation 1 of image 1"
    picture = build_collection(content, tiny_set / "images").pictures[0]
    assert [item.counts is None for item in picture.annotations] == [True, False]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"category_id": 99}, "category is unknown"),
        ({"bbox": [5, 5, 0, 10]}, "no area"),
        ({"bbox": [5, 5, 10, -1]}, "no area"),
        ({"bbox": [1, 2, 3]}, "not four numbers"),
        ({"bbox": None}, "not four numbers"),
        ({"bbox": [1, 2, "3", 4]}, "not four numbers"),
        ({"image_id": 77}, "belongs to no image"),
    ],
)
def test_an_object_that_cannot_be_placed_is_left_out(
    tiny_set: Path, change: dict[str, Any], kind: str
) -> None:
    content, (fault,) = clean_content(spoil(tiny_set, **change), tiny_set / "images")
    assert kind in fault.kind
    assert [item["id"] for item in content["annotations"]] == [2, 3, 4]


@pytest.mark.parametrize(
    ("change", "kind"),
    [({"file_name": "gone.png"}, "file is missing"), ({"height": 0}, "size"), ({"id": 2}, "another image")],
)
def test_a_bad_picture_is_left_out_with_its_objects(
    tiny_set: Path, change: dict[str, Any], kind: str
) -> None:
    content = spoil(tiny_set)
    content["images"] = [content["images"][1], content["images"][0] | change]
    content["annotations"] = [item for item in content["annotations"] if change.get("id") != item["image_id"]]
    cleaned, faults = clean_content(content, tiny_set / "images")
    assert kind in faults[0].kind
    assert [entry["id"] for entry in cleaned["images"]] == [2]
    assert {item["image_id"] for item in cleaned["annotations"]} <= {2}


def test_a_picture_without_a_size_is_left_out(tiny_set: Path) -> None:
    content = spoil(tiny_set)
    del content["images"][0]["width"]
    cleaned, (fault,) = clean_content(content, tiny_set / "images")
    assert "has no id, file_name, height or width" in fault.kind
    assert len(build_collection(cleaned, tiny_set / "images").pictures) == 1


def test_what_is_marked_as_a_box_is_no_fault(tiny_set: Path) -> None:
    content, faults = clean_content(spoil(tiny_set, segmentation=[], box_only=True), tiny_set / "images")
    assert not faults
    assert len(content["annotations"]) == 4


@pytest.mark.parametrize(
    "categories", [[], [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}], [{"id": 1}], [{"name": "a"}]]
)
def test_categories_that_mean_nothing_are_refused(tiny_set: Path, categories: list[Any]) -> None:
    with pytest.raises(DataRefused, match="every category needs its own"):
        clean_content(spoil(tiny_set) | {"categories": categories}, tiny_set / "images")


def test_faults_are_counted_by_kind_with_the_first_few_named(tiny_set: Path) -> None:
    content = spoil(tiny_set)
    for item in content["annotations"]:
        item["bbox"] = [1, 2, 0, 0]
    _, faults = clean_content(content, tiny_set / "images")
    text = describe_faults(faults)
    assert text.startswith("4 x its box has no area: annotation 1 of image 1, annotation 2")
    assert text.endswith("annotation 3 of image 2, ...")
    with pytest.raises(DataRefused, match=r"4 x its box.*\n.*--bad-data skip"):
        refuse_faults(faults)


def test_good_data_is_left_as_it_is(tiny_set: Path) -> None:
    content = spoil(tiny_set)
    cleaned, faults = clean_content(content, tiny_set / "images")
    assert cleaned == content
    refuse_faults(faults)
