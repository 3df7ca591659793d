"""Annotation files as labelling tools and cameras leave them.

A segmenter that knows the objects of the pictures answers, so every AP is 1 where the file is read as it is
meant.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.inference.card import read_card
from service.inference.images import Limits, decode_image
from service.types import BackendInfo, Instance, Options, Rle, Segmentation, Size
from tests.cases.conftest import ROOT, FindCase
from training.commands import app
from training.data.datasets import read_datasets

MODEL = ROOT / "models" / "blitzmask-mobilenetv2"
OBJECTS = 3


class Knowing:
    """Finds the objects of a COCO file's pictures, which it tells apart by their upright sizes."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.card = read_card(MODEL)
        names = {item["id"]: item["name"] for item in content["categories"]}
        sizes = {item["id"]: Size(item["height"], item["width"]) for item in content["images"]}
        self.found: dict[Size, list[Instance]] = {size: [] for size in sizes.values()}
        for item in content["annotations"]:
            size, number = sizes[item["image_id"]], item["category_id"]
            mask = Rle(size, item["segmentation"]["counts"])
            self.found[size].append(
                Instance(names[number], number, 0.9, tuple(item["bbox"]), item["area"], mask)
            )

    def segment(self, data: bytes, options: Options) -> Segmentation:
        height, width, _ = decode_image(data, Limits()).shape
        size = Size(height, width)
        backend = BackendInfo("none", "0", "fp32", 1, (), ())
        return Segmentation(size, tuple(self.found[size]), self.card.name, self.card.version, backend)


@pytest.fixture(autouse=True)
def knowing(find_case: FindCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands open this segmenter instead of a model. Case t01 has the objects as they are."""
    truth = json.loads((find_case("t01") / "instances_val.json").read_text())
    monkeypatch.setattr("training.commands.open_model", lambda *_: Knowing(truth))


def evaluate(data: Path, out: Path) -> tuple[int, str, dict[str, float]]:
    """The exit status, the messages, and the figures, if there are any."""
    words = ["evaluate", MODEL, "--data", data, "--runtime", "onnx", "--precision", "int8", "--out", out]
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.stderr, json.loads(out.read_text()) if out.exists() else {}


def count_objects(figures: dict[str, float], kind: str) -> int:
    classes: list[dict[str, int]] = figures[kind]["classes"]  # type: ignore[index]
    return sum(item["objects"] for item in classes)


@pytest.mark.parametrize(
    "case",
    ["t01", "t03", "t03b", "t04", "t07", "t09", "t10", "t11", "t12", "t13", "t14", "t16-exif3", "t16-exif6"],
)
def test_the_data_are_read_as_they_are_meant(find_case: FindCase, tmp_path: Path, case: str) -> None:
    folder = find_case(case)
    status, _, figures = evaluate(folder, tmp_path / "figures.json")
    assert status == 0
    assert (figures["mask_ap"], figures["box_ap"]) == pytest.approx((1, 1))
    assert count_objects(figures, "masks") == count_objects(figures, "boxes") == OBJECTS
    training = read_datasets(folder, "skip").training
    assert len(training.pictures) == 4
    objects = [item for picture in training.pictures for item in picture.annotations]
    assert [(item.counts is not None, item.ignored) for item in objects] == [(True, False)] * OBJECTS


@pytest.mark.parametrize(
    ("case", "fault", "masks"), [("t06", "neither polygons nor RLE", 2), ("t08", "its RLE", 0)]
)
def test_a_bad_mask_is_listed_and_leaves_the_mask_ap(
    find_case: FindCase, tmp_path: Path, case: str, fault: str, masks: int
) -> None:
    folder = find_case(case)
    status, messages, figures = evaluate(folder, tmp_path / "figures.json")
    assert status == 0
    assert fault in messages
    assert "instances_val.json" in messages
    assert figures["box_ap"] == pytest.approx(1)
    assert count_objects(figures, "boxes") == OBJECTS
    assert count_objects(figures, "masks") == masks
    assert fault in read_datasets(folder, "skip").faults[0].kind


def test_labels_of_the_stored_frame_are_refused_by_name(find_case: FindCase, tmp_path: Path) -> None:
    status, messages, _ = evaluate(find_case("t17"), tmp_path / "figures.json")
    assert status == 2
    assert "its labels fit the stored pixels" in messages
    assert "cat.jpg" in messages


def test_an_empty_picture_is_left_out_and_named(find_case: FindCase, tmp_path: Path) -> None:
    folder = find_case("t18")
    status, messages, figures = evaluate(folder, tmp_path / "figures.json")
    assert status == 0
    assert "coffee.jpg" in messages
    assert figures["images"] == 3
    assert figures["mask_ap"] == pytest.approx(1)
    datasets = read_datasets(folder, "skip")
    assert len(datasets.training.pictures) == 3
    assert "coffee.jpg" in datasets.faults[0].where
