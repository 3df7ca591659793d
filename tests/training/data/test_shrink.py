"""Copies of data sets with smaller pictures."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from service.types import Size
from training.commands import app
from training.data.annotations import Picture, read_collection
from training.data.datasets import find_split
from training.data.faults import DataRefused
from training.data.masks import decode_counts
from training.data.pictures import PictureFailed
from training.data.shapes import shapes
from training.data.shrink import resize, shrink_annotation, shrink_set


def read_pictures(folder: Path) -> tuple[Picture, ...]:
    split = find_split(folder, "train")
    return read_collection(split.annotations, split.images).pictures


def test_pictures_boxes_and_masks_shrink_together(tiny_set: Path, tmp_path: Path) -> None:
    told = list(shrink_set(tiny_set, tmp_path / "small", 80))
    assert told == ["train: 2 pictures, 4 objects"]
    before, after = read_pictures(tiny_set), read_pictures(tmp_path / "small")
    assert [picture.size for picture in after] == [Size(60, 80), Size(80, 53)]
    for large, small in zip(before, after, strict=True):
        pixels = cv2.imread(str(small.path))
        assert pixels is not None
        assert pixels.shape[:2] == (small.size.height, small.size.width)
        for item, shrunk in zip(large.annotations, small.annotations, strict=True):
            assert (shrunk.label, shrunk.ignored) == (item.label, item.ignored)
            assert item.counts is not None
            assert shrunk.counts is not None
            mask = decode_counts(shrunk.counts, small.size)
            whole = decode_counts(item.counts, large.size)
            share = small.size.height * small.size.width / (large.size.height * large.size.width)
            assert mask.sum() == pytest.approx(whole.sum() * share, rel=0.05)
            assert cv2.boundingRect(mask) == pytest.approx(shrunk.box_xywh, abs=1.0)


def test_a_small_picture_keeps_its_size_and_everything_else_is_kept_as_it_is(
    tiny_set: Path, tmp_path: Path
) -> None:
    file = tiny_set / "instances_train.json"
    content = json.loads(file.read_text())
    content["images"][0] |= {"exhaustive_category_ids": [7], "assumed_absent_category_ids": [3]}
    content["info"] = {"licence": "ours"}
    file.write_text(json.dumps(content))
    list(shrink_set(tiny_set, tmp_path / "small", 4000))
    copied = json.loads((tmp_path / "small" / "instances_train.json").read_text())
    assert copied["info"] == content["info"]
    assert copied["images"][0] == content["images"][0] | {"file_name": "1.png.jpg"}
    assert [item["bbox"] for item in copied["annotations"]] == [
        item["bbox"] for item in content["annotations"]
    ]


def test_both_splits_are_copied(tmp_path: Path) -> None:
    shapes(tmp_path / "set", pictures=5, side=64)
    told = list(shrink_set(tmp_path / "set", tmp_path / "small", 32))
    assert [line.split(",")[0] for line in told] == ["train: 4 pictures", "val: 1 pictures"]


def test_a_mask_without_a_pixel_left_is_known_by_its_box() -> None:
    speck = {"bbox": [0, 0, 1, 1], "area": 1, "segmentation": {"size": [64, 64], "counts": [0, 1, 4095]}}
    shrunk = shrink_annotation(speck, Size(64, 64), Size(8, 8))
    assert shrunk == {"bbox": [0, 0, 0.125, 0.125], "area": 1 / 64, "segmentation": [], "box_only": True}


def test_a_pixel_is_the_mean_of_those_it_stands_for() -> None:
    pixels = np.array([[0, 100], [100, 200]], np.uint8)
    assert resize(pixels, Size(1, 1)).tolist() == [[100]]


def test_a_folder_that_is_not_empty_is_left_as_it_is(tiny_set: Path) -> None:
    before = sorted(tiny_set.rglob("*"))
    with pytest.raises(DataRefused, match="is not empty: choose another folder"):
        list(shrink_set(tiny_set, tiny_set, 80))
    assert sorted(tiny_set.rglob("*")) == before


def test_what_is_wrong_with_the_data_is_left_out_and_told(tiny_set: Path, tmp_path: Path) -> None:
    (tiny_set / "images" / "1.png").unlink()
    told = list(shrink_set(tiny_set, tmp_path / "small", 80))
    assert "1 x its file is missing" in told[0]
    assert told[1] == "train: 1 pictures, 2 objects"


def test_a_picture_that_cannot_be_read_is_named(tiny_set: Path, tmp_path: Path) -> None:
    picture = tiny_set / "images" / "1.png"
    picture.write_bytes(picture.read_bytes()[:500])  # its header is good
    with pytest.raises(PictureFailed, match=r"1\.png is missing or is not an image"):
        list(shrink_set(tiny_set, tmp_path / "small", 80))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["--side", "80"], "none of these exists"), (["--side", "8"], "greater than or equal to 32")],
)
def test_the_command_explains_what_to_correct(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    (tmp_path / "nothing").mkdir()
    command: list[Any] = ["shrink", str(tmp_path / "small"), "--data", str(tmp_path / "nothing"), *arguments]
    done = CliRunner().invoke(app, command)
    assert done.exit_code in (1, 2)
    assert complaint in " ".join(done.output.replace("│", " ").split())


def test_the_command_tells_what_it_did(tiny_set: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["shrink", str(tmp_path / "small"), "--data", str(tiny_set), "--side", "80"]
    )
    assert (done.exit_code, "train: 2 pictures, 4 objects" in done.output) == (0, True)
