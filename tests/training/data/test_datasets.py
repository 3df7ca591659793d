"""Data folders in the layouts that users have."""

import json
from pathlib import Path
from typing import Any

import pytest

from training.data.datasets import Split, find_split, hold_out, read_datasets
from training.data.faults import DataRefused


def make(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.write_text("{}")
    return folder


def test_coco_as_it_is_unpacked(tmp_path: Path) -> None:
    make(tmp_path, "annotations/instances_val2017.json", "val2017/", "train2017/")
    expected = Split(tmp_path / "annotations/instances_val2017.json", tmp_path / "val2017")
    assert find_split(tmp_path, "val") == expected


def test_a_folder_with_all_images_in_one_place(tmp_path: Path) -> None:
    make(tmp_path, "instances_train.json", "images/")
    assert find_split(tmp_path, "train") == Split(tmp_path / "instances_train.json", tmp_path / "images")


def test_images_of_each_split_in_their_own_folder(tmp_path: Path) -> None:
    make(tmp_path, "annotations/instances_val.json", "images/", "images/val/")
    assert find_split(tmp_path, "val").images == tmp_path / "images" / "val"


def test_a_missing_split_says_where_it_was_looked_for(tmp_path: Path) -> None:
    make(tmp_path, "instances_train.json", "images/")
    with pytest.raises(FileNotFoundError, match=r"instances_test\.json"):
        find_split(tmp_path, "test")


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def read(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "instances_train.json").read_text())
    return content


def test_the_val_split_is_evaluated_on(tiny_set: Path) -> None:
    write(tiny_set / "instances_val.json", read(tiny_set) | {"images": read(tiny_set)["images"][:1]})
    content = json.loads((tiny_set / "instances_val.json").read_text())
    content["annotations"] = content["annotations"][:2]
    write(tiny_set / "instances_val.json", content)
    datasets = read_datasets(tiny_set, "refuse")
    assert len(datasets.training.pictures) == 2
    assert [entry["id"] for entry in datasets.evaluation.content["images"]] == [1]
    assert datasets.evaluation.origin == "val split"


def test_without_a_val_split_some_pictures_are_held_out(tiny_set: Path) -> None:
    datasets = read_datasets(tiny_set, "refuse")
    (judged,) = datasets.evaluation.content["images"]
    (learnt,) = datasets.training.pictures
    assert learnt.path.name != judged["file_name"]
    assert {item["image_id"] for item in datasets.evaluation.content["annotations"]} == {judged["id"]}


def test_a_fifth_is_held_out_and_always_the_same() -> None:
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in range(50)]
    content = {"images": images, "annotations": [{"image_id": number} for number in range(50)]}
    training_set, evaluation_set = hold_out(content)
    assert (len(training_set["images"]), len(evaluation_set["images"])) == (40, 10)
    assert {item["image_id"] for item in evaluation_set["annotations"]} == {
        entry["id"] for entry in evaluation_set["images"]
    }
    assert hold_out({**content, "images": images[::-1]})[1]["images"][::-1] == evaluation_set["images"]


def test_a_single_picture_is_trained_and_evaluated_on() -> None:
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
    assert len(read_datasets(folder, "refuse").training.pictures) == 1


def test_a_folder_without_a_set_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"instances_train2017\.json"):
        read_datasets(tmp_path, "skip")


def test_bad_data_of_either_split_is_counted_or_refused(tiny_set: Path) -> None:
    content = read(tiny_set)
    content["annotations"][0]["bbox"] = [0, 0, 0, 0]
    write(tiny_set / "instances_train.json", content)
    write(tiny_set / "instances_val.json", content)
    assert len(read_datasets(tiny_set, "skip").faults) == 2
    with pytest.raises(DataRefused, match=r"train\.json: 1 x its box(?s:.*)val\.json: 1 x its box"):
        read_datasets(tiny_set, "refuse")


def test_a_set_of_nothing_is_refused_in_any_case(tiny_set: Path) -> None:
    write(tiny_set / "instances_train.json", read(tiny_set) | {"annotations": []})
    with pytest.raises(DataRefused, match="no objects to train on"):
        read_datasets(tiny_set, "skip")


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


def test_all_folders_are_trained_on_and_the_first_is_evaluated_on(tiny_set: Path, tmp_path: Path) -> None:
    datasets = read_datasets([tiny_set, copy_set(tiny_set, tmp_path / "more", first_id=11)], "refuse")
    (judged,) = datasets.evaluation.content["images"]
    assert judged["id"] in (1, 2)
    paths = [str(picture.path.parent) for picture in datasets.training.pictures]
    assert paths == [str(tiny_set / "images")] + [str(tmp_path / "more" / "images")] * 2


def test_folders_that_share_an_image_id_are_refused(tiny_set: Path, tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match=r"image id 2 of .* is also in another --data folder"):
        read_datasets([tiny_set, copy_set(tiny_set, tmp_path / "more", first_id=2)], "skip")


def test_folders_of_other_categories_are_refused(tiny_set: Path, tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match="other categories"):
        read_datasets([tiny_set, copy_set(tiny_set, tmp_path / "more", first_id=11, name="plate")], "skip")


def test_pictures_that_are_missing_are_named_if_all_are(tiny_set: Path) -> None:
    for path in (tiny_set / "images").iterdir():
        path.unlink()
    with pytest.raises(DataRefused, match=r"no objects to train on.*\n.*2 x its file is missing in .*images"):
        read_datasets(tiny_set, "skip")
