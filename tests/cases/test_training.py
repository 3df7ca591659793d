"""Annotation files as labelling tools and cameras leave them: the shipped model is right on all of them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.cases.conftest import ROOT, FindCase
from training.commands import app
from training.data.datasets import read_datasets

MODEL = ROOT / "models" / "blitzmask-mobilenetv2"
OBJECTS = 3  # the model's own answer, as ground truth: every AP is 1


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
