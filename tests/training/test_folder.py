"""Data sets are found as they lie on disk."""

from pathlib import Path

import pytest

from training.data.datasets import Split, find_split


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
