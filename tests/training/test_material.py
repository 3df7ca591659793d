"""From a folder as users have it to what is learnt from and judged by."""

import json
from pathlib import Path
from typing import Any

import pytest

from training.faults import DataRefused
from training.material import hold_out, read_material


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def read(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "instances_train.json").read_text())
    return content


def test_the_val_split_is_what_is_judged_by(tiny_set: Path) -> None:
    write(tiny_set / "instances_val.json", read(tiny_set) | {"images": read(tiny_set)["images"][:1]})
    content = json.loads((tiny_set / "instances_val.json").read_text())
    content["annotations"] = content["annotations"][:2]
    write(tiny_set / "instances_val.json", content)
    material = read_material(tiny_set, "refuse")
    assert len(material.lessons.pictures) == 2
    assert [entry["id"] for entry in material.exam.content["images"]] == [1]
    assert material.exam.origin == "val split"


def test_without_a_val_split_some_pictures_are_held_out(tiny_set: Path) -> None:
    material = read_material(tiny_set, "refuse")
    (judged,) = material.exam.content["images"]
    (learnt,) = material.lessons.pictures
    assert learnt.path.name != judged["file_name"]
    assert {item["image_id"] for item in material.exam.content["annotations"]} == {judged["id"]}


def test_a_fifth_is_held_out_and_always_the_same() -> None:
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in range(50)]
    content = {"images": images, "annotations": [{"image_id": number} for number in range(50)]}
    lessons, exam = hold_out(content)
    assert (len(lessons["images"]), len(exam["images"])) == (40, 10)
    assert {item["image_id"] for item in exam["annotations"]} == {entry["id"] for entry in exam["images"]}
    assert hold_out({**content, "images": images[::-1]})[1]["images"][::-1] == exam["images"]


def test_a_single_picture_is_learnt_from_and_judged_by() -> None:
    content = {"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 1}]}
    assert hold_out(content) == (content, content)


@pytest.mark.parametrize(
    ("file", "images"),
    [
        ("annotations/instances_default.json", "images"),
        ("annotations.json", "."),
        ("train/_annotations.coco.json", "train"),
        ("annotations/instances_train2017.json", "train2017"),
    ],
)
def test_what_labelling_tools_write_is_found(tiny_set: Path, tmp_path: Path, file: str, images: str) -> None:
    """CVAT, labelme2coco, Roboflow, COCO itself."""
    folder = tmp_path / "set"
    write(folder / file, read(tiny_set))
    (folder / images).mkdir(parents=True, exist_ok=True)
    for picture in (tiny_set / "images").iterdir():
        picture.rename(folder / images / picture.name)
    assert len(read_material(folder, "refuse").lessons.pictures) == 1


def test_a_folder_without_a_set_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"instances_train2017\.json"):
        read_material(tmp_path, "skip")


def test_bad_data_of_either_split_is_counted_or_refused(tiny_set: Path) -> None:
    content = read(tiny_set)
    content["annotations"][0]["bbox"] = [0, 0, 0, 0]
    write(tiny_set / "instances_train.json", content)
    write(tiny_set / "instances_val.json", content)
    assert len(read_material(tiny_set, "skip").faults) == 2
    with pytest.raises(DataRefused, match="2 x its box has no area"):
        read_material(tiny_set, "refuse")


def test_a_set_of_nothing_is_refused_in_any_case(tiny_set: Path) -> None:
    write(tiny_set / "instances_train.json", read(tiny_set) | {"annotations": []})
    with pytest.raises(DataRefused, match="no objects to learn from"):
        read_material(tiny_set, "skip")


def copy_set(folder: Path, other: Path, *, first_id: int, name: str = "disc") -> Path:
    """The pictures of a set under other ids, without a val split."""
    content = read(folder)
    shift = first_id - 1
    for entry in content["images"]:
        entry["id"] += shift
    for item in content["annotations"]:
        item["image_id"] += shift
    content["categories"][0]["name"] = name
    write(other / "instances_train.json", content)
    (other / "images").symlink_to(folder / "images")
    return other


def test_several_folders_are_learnt_from_and_the_first_one_judges(tiny_set: Path, tmp_path: Path) -> None:
    material = read_material([tiny_set, copy_set(tiny_set, tmp_path / "more", first_id=11)], "refuse")
    (judged,) = material.exam.content["images"]
    assert judged["id"] in (1, 2)
    paths = [str(picture.path.parent) for picture in material.lessons.pictures]
    assert paths == [str(tiny_set / "images")] + [str(tmp_path / "more" / "images")] * 2


def test_folders_that_share_an_image_id_are_refused(tiny_set: Path, tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match="image ids that another --data folder has too, as 2"):
        read_material([tiny_set, copy_set(tiny_set, tmp_path / "more", first_id=2)], "skip")


def test_folders_of_other_categories_are_refused(tiny_set: Path, tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match="other categories"):
        read_material([tiny_set, copy_set(tiny_set, tmp_path / "more", first_id=11, name="plate")], "skip")
