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
        ({"segmentation": {"size": SIZE[::-1], "counts": [19200]}}, "another size than its image"),
        ({"segmentation": {"size": 7, "counts": [19200]}}, "another size than its image"),
        ({"segmentation": {"size": SIZE, "counts": "b'R;1'"}}, "RLE"),
        ({"segmentation": {"size": SIZE, "counts": [19199.5, 0.5]}}, "does not fill"),
        ({"segmentation": [10, 10, 90, 10, 90, 90]}, "neither polygons nor RLE"),
        ({"segmentation": [[90, 60, 140, 60, 140, 110]]}, "away from its box"),
        ({"segmentation": {"size": SIZE, "counts": [19000, 200]}}, "away from its box"),
        ({"bbox": [0.1, 0.2, 0.3, 0.4]}, "away from its box"),
        ({"segmentation": [[500, 10, 560, 10, 560, 60]]}, "out of its image"),
        ({"segmentation": [[30, 20, 1e12, 20, 30, 60]]}, "out of its image"),
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
        ({"bbox": None, "segmentation": []}, "not four numbers"),
        ({"bbox": [1, 2, "3", 4]}, "not four numbers"),
        ({"image_id": 77}, "belongs to no image"),
        ({"image_id": [1]}, "belongs to no image"),
        ({"category_id": "disc"}, "category is unknown"),
        ({"bbox": [1, 2, float("nan"), 4]}, "not four numbers"),
        ({"bbox": [200, 10, 20, 20]}, "out of its image"),
        ({"bbox": [10, -30, 20, 20]}, "out of its image"),
        ({"iscrowd": "perhaps"}, "iscrowd is neither 0 nor 1"),
        ({"iscrowd": 7}, "iscrowd is neither 0 nor 1"),
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


@pytest.mark.parametrize("crowd", [0, "0", False, None, "false", ""])
def test_an_iscrowd_in_another_type_is_no_crowd(tiny_set: Path, crowd: object) -> None:
    content, faults = clean_content(spoil(tiny_set, iscrowd=crowd), tiny_set / "images")
    assert not faults
    assert content["annotations"][0]["iscrowd"] == 0


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_missing_box_is_that_of_the_mask(tiny_set: Path, number: int) -> None:
    content = spoil(tiny_set)
    expected = content["annotations"][number].pop("bbox")
    cleaned, faults = clean_content(content, tiny_set / "images")
    assert not faults
    assert cleaned["annotations"][number]["bbox"] == pytest.approx(expected, abs=0.2)


@pytest.mark.parametrize("area", [None, "many", float("nan"), -1, 1e12])
def test_an_area_that_no_mask_can_have_is_that_of_the_mask(tiny_set: Path, area: object) -> None:
    expected = spoil(tiny_set)["annotations"][0]["area"]
    content, faults = clean_content(spoil(tiny_set, area=area), tiny_set / "images")
    assert not faults
    assert content["annotations"][0]["area"] == expected


def test_numbers_as_text_are_numbers(tiny_set: Path) -> None:
    content = spoil(tiny_set)
    for entry in content["images"]:
        entry |= {key: str(entry[key]) for key in ("id", "height", "width")}
    for category in content["categories"]:
        category["id"] = str(category["id"])
    content["annotations"][0]["category_id"] = str(content["annotations"][0]["category_id"])
    content["annotations"][0]["image_id"] = 1.0
    cleaned, faults = clean_content(content, tiny_set / "images")
    assert not faults
    assert cleaned == spoil(tiny_set)


def test_ids_that_are_names_get_numbers(tiny_set: Path) -> None:
    content = spoil(tiny_set)
    content["images"][1]["id"] = "second"
    for item in content["annotations"][2:]:
        item["image_id"] = "second"
    cleaned, faults = clean_content(content, tiny_set / "images")
    assert not faults
    assert cleaned == spoil(tiny_set)


@pytest.mark.parametrize("part", ["images", "annotations"])
@pytest.mark.parametrize("record", [None, 7, [], {}, {"id": {}}])
def test_what_is_no_record_is_a_fault(tiny_set: Path, part: str, record: object) -> None:
    content = spoil(tiny_set)
    content[part].append(record)
    cleaned, (fault,) = clean_content(content, tiny_set / "images")
    assert fault.where.split()[0] in ("image", "annotation")
    assert cleaned == spoil(tiny_set)


@pytest.mark.parametrize("value", [None, 7, "7", [[7]]])
def test_labelled_categories_that_are_no_list_of_ids_are_a_fault(tiny_set: Path, value: object) -> None:
    content = spoil(tiny_set)
    content["images"][0]["exhaustive_category_ids"] = value
    cleaned, (fault,) = clean_content(content, tiny_set / "images")
    assert "exhaustive_category_ids" in fault.kind
    assert [entry["id"] for entry in cleaned["images"]] == [2]


def test_a_name_that_is_a_number_is_its_text(tiny_set: Path) -> None:
    content = spoil(tiny_set)
    content["categories"][0]["name"] = 7
    cleaned, faults = clean_content(content, tiny_set / "images")
    assert not faults
    assert cleaned["categories"][0]["name"] == "7"


@pytest.mark.parametrize("name", ["a, b", "x" * 300])
def test_a_name_that_no_card_can_hold_is_refused(tiny_set: Path, name: str) -> None:
    content = spoil(tiny_set)
    content["categories"][0]["name"] = name
    with pytest.raises(DataRefused, match="category 7 cannot be a label"):
        clean_content(content, tiny_set / "images")


@pytest.mark.parametrize("name", ["shapes", "disc"])
def test_a_root_category_is_left_out_and_told_but_not_refused(tiny_set: Path, name: str) -> None:
    content = spoil(tiny_set)
    for category in content["categories"]:
        category["supercategory"] = name
    expected = [*content["categories"]]
    content["categories"].insert(0, {"id": 0, "name": name, "supercategory": "none"})
    cleaned, faults = clean_content(content, tiny_set / "images")
    assert cleaned["categories"] == expected
    assert f"category 0 {name}" in describe_faults(faults)
    refuse_faults(faults)


def test_a_category_without_objects_is_kept_if_it_is_no_root(tiny_set: Path) -> None:
    content = spoil(tiny_set)
    content["categories"].append({"id": 9, "name": "star", "supercategory": "star"})
    cleaned, faults = clean_content(content, tiny_set / "images")
    assert [category["name"] for category in cleaned["categories"]] == ["disc", "square", "star"]
    assert not faults
