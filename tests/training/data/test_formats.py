"""Data sets in the formats of Labelme and YOLO are read; those of VIA and Pascal VOC name their converter."""

import base64
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from training.data.annotations import Picture
from training.data.datasets import clean_split, find_split, find_training_split, read_datasets
from training.data.faults import DataRefused, describe_faults
from training.data.masks import decode_counts

POLYGON = [[20, 10], [60, 10], [60, 40], [20, 40]]


def draw(path: Path) -> None:
    """A picture of 80 x 50 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((50, 80, 3), 90, np.uint8))


def label(folder: Path, name: str, *shapes: dict[str, Any]) -> None:
    """A picture and its file as Labelme writes it."""
    draw(folder / f"{name}.png")
    record = {"imagePath": f"{name}.png", "imageHeight": 50, "imageWidth": 80, "imageData": None}
    (folder / f"{name}.json").write_text(json.dumps(record | {"shapes": list(shapes)}))


def shape(label: str = "cup", points: object = POLYGON, kind: str = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None} | more


def mask_of(picture: Picture, place: int) -> Any:
    counts = picture.annotations[place].counts
    assert counts is not None
    return decode_counts(counts, picture.size)


@pytest.fixture
def labelme(tmp_path: Path) -> Path:
    label(tmp_path / "train", "a", shape(), shape("plate", [[1, 2], [31, 42]], "rectangle"))
    label(tmp_path / "train", "b", shape(group_id=1), shape(points=[[1, 1], [9, 1], [9, 9]], group_id=1))
    label(tmp_path / "val", "c", shape("plate"))
    return tmp_path


def test_a_labelme_folder_is_read(labelme: Path) -> None:
    datasets = read_datasets(labelme, "refuse")
    first, second = datasets.training.pictures
    assert [item.name for item in datasets.training.labels] == ["cup", "plate"]
    assert mask_of(first, 0).sum() == 40 * 30
    assert mask_of(first, 0)[10:40, 20:60].all()
    assert (first.annotations[1].counts, first.annotations[1].box_xywh) == (None, (1, 2, 30, 40))
    assert len(second.annotations) == 1
    assert mask_of(second, 0)[5, 7] == mask_of(second, 0)[20, 30] == 1
    assert [entry["file_name"] for entry in datasets.evaluation.content["images"]] == ["c.png"]


def test_several_labelme_folders_are_trained_on(labelme: Path, tmp_path: Path) -> None:
    label(tmp_path / "more", "e", shape(), shape("plate"))
    assert len(read_datasets([labelme, tmp_path / "more"], "refuse").training.pictures) == 3


def test_a_labelme_folder_without_splits_is_a_whole_set(labelme: Path) -> None:
    assert find_training_split(labelme / "train").annotations == labelme / "train"


def test_circles_and_masks_of_labelme_are_read(tmp_path: Path) -> None:
    png = cv2.imencode(".png", np.full((5, 7), 255, np.uint8))[1].tobytes()
    mask = {"mask": base64.b64encode(png).decode()}
    circle = shape("cup", [[40, 25], [50, 25]], "circle")
    label(tmp_path / "train", "a", circle, shape("cup", [[3, 4], [10, 9]], "mask", **mask))
    content, faults = clean_split(find_split(tmp_path, "train"))
    assert not faults
    assert content["annotations"][0]["area"] == pytest.approx(np.pi * 100, rel=0.03)
    assert content["annotations"][1]["bbox"] == [3, 4, 7, 5]


@pytest.mark.parametrize(
    "bad",
    [
        shape(kind="line"),
        shape(kind=[]),  # type: ignore[arg-type]
        shape(kind="mask", mask="no PNG"),
        shape(kind="mask"),
        shape(points=None),
        shape(points=[[1, 2], [3, 4]]),
        shape(points=[["x", 2], [3, 4], [5, 6]]),
        shape(points=None, kind="rectangle"),
    ],
)
def test_shapes_that_cannot_be_read_are_named(labelme: Path, bad: dict[str, Any]) -> None:
    label(labelme / "train", "d", bad)
    _, (fault,) = clean_split(find_split(labelme, "train"))
    assert "d.json:1" in fault.where


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    """As Roboflow writes it."""
    (tmp_path / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['cup', 7]\n"
    )
    for split in ("train", "valid"):
        draw(tmp_path / split / "images" / "a.png")
        draw(tmp_path / split / "images" / "empty.png")
        (tmp_path / split / "labels").mkdir()
        lines = "1 0.25 0.2 0.75 0.2 0.75 0.8 0.25 0.8\n\n0 0.5 0.5 0.25 0.4\n"
        (tmp_path / split / "labels" / "a.txt").write_text(lines)
    return tmp_path


@pytest.mark.parametrize("names", ["['cup', 7]", "{0: cup, 1: 7}"])
@pytest.mark.parametrize("places", [("../train/images", "../valid/images"), ("train/images", "valid/images")])
def test_a_yolo_folder_is_read(yolo: Path, places: tuple[str, str], names: str) -> None:
    (yolo / "data.yaml").write_text(f"train: {places[0]}\nval: {places[1]}\nnames: {names}\n")
    datasets = read_datasets(yolo, "refuse")
    labelled, empty = datasets.training.pictures
    assert [item.name for item in datasets.training.labels] == ["cup", "7"]
    masked, boxed = labelled.annotations
    assert (masked.label, boxed.label) == (1, 0)
    assert mask_of(labelled, 0)[10:40, 20:60].all()
    assert mask_of(labelled, 0).sum() == 40 * 30
    assert (boxed.counts, boxed.box_xywh) == (None, (30, 15, 20, 20))
    assert not empty.annotations
    assert len(datasets.evaluation.content["images"]) == 2


@pytest.mark.parametrize(
    "line", ["x 0 0 1 0 1 1", "0 0 0 1", "0 a b c d e f", "9 0 0 1 0 1 1", "0 0 0 1 0 1 1 1"]
)
def test_lines_that_cannot_be_read_are_named(yolo: Path, line: str) -> None:
    (yolo / "train" / "labels" / "empty.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    _, (fault,) = clean_split(find_split(yolo, "train"))
    assert "empty.txt:2" in fault.where


@pytest.mark.parametrize(
    ("text", "reason"),
    [("names: [", "not YAML"), ("train: images", "no names"), ("names: [a]\ntrain: gone", "is missing")],
)
def test_a_data_yaml_that_means_nothing_is_refused(yolo: Path, text: str, reason: str) -> None:
    (yolo / "data.yaml").write_text(text)
    with pytest.raises(DataRefused, match=reason):
        find_split(yolo, "train")


@pytest.mark.parametrize(
    ("name", "text", "converter"),
    [
        ("via.json", '{"a.jpg1": {"filename": "a.jpg", "regions": []}}', "VIA's menu"),
        ("via.json", '{"_via_img_metadata": {"a": {"regions": []}}, "_via_settings": {}}', "VIA's menu"),
        ("Annotations/a.xml", "<annotation><folder/></annotation>", "datum convert"),
    ],
)
def test_other_formats_name_their_converter(tmp_path: Path, name: str, text: str, converter: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    with pytest.raises(FileNotFoundError, match=converter):
        read_datasets(tmp_path, "skip")


def test_a_coco_set_is_preferred_and_faults_of_others_do_not_show(tiny_set: Path) -> None:
    (tiny_set / "a.xml").write_text("<annotation/>")
    datasets = read_datasets(tiny_set, "refuse")
    assert describe_faults(datasets.faults) == ""
