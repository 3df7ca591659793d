"""The precision of a model folder, its record on the card, and Markdown tables of figures."""

import json
import math
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from service.inference.backends import BackendChoice, choose_file
from service.inference.backends.base import RuntimeChoice
from service.inference.card import Accuracy, ArtifactFile, read_card
from training.data.validate import read_content
from training.evaluation.accuracy import ClassAccuracy, KindAccuracy
from training.evaluation.evaluate import (
    Evaluation,
    draw_table,
    evaluate_detections,
    match_categories,
    record_accuracy,
)
from training.evaluation.matching import Kind
from training.evaluation.tables import Row, draw_categories, draw_rows, fill_marks


@pytest.fixture
def model(trained: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model, to be changed."""
    return shutil.copytree(trained / "model", tmp_path / "tiny")


def test_categories_are_matched_by_name(trained: Path) -> None:
    card = read_card(trained / "model")
    there = [{"id": 40, "name": "square"}, {"id": 41, "name": "cat"}]
    assert match_categories(card, there) == {"square": 40}


def test_a_model_and_a_set_that_share_no_category_are_refused(trained: Path) -> None:
    with pytest.raises(ValueError, match=r"share no category.*disc.*square.*cat"):
        match_categories(read_card(trained / "model"), [{"id": 1, "name": "cat"}])


def test_an_evaluation_is_plain_json_and_a_table(tiny_set: Path) -> None:
    evaluation = evaluate_detections(
        read_content(tiny_set / "instances_train.json"), [], categories=frozenset({7})
    )
    figures = json.loads(json.dumps(evaluation.to_json()))
    assert (figures["mask_ap"], figures["box_ap"], figures["images"]) == (0, 0, 2)
    console = Console(width=100)
    with console.capture() as capture:
        console.print(draw_table(evaluation))
    assert "disc" in capture.get()
    assert "square" not in capture.get()


@pytest.mark.parametrize("runtime", ["onnx", "tflite"])
def test_the_card_takes_the_figures_of_the_file_that_was_run(model: Path, runtime: RuntimeChoice) -> None:
    accuracy = Accuracy(data="tiny", command="-", mask_ap=0.5, mask_ap50=0.75, box_ap=0.25, images=2)
    file = choose_file(read_card(model), BackendChoice(runtime=runtime))
    record_accuracy(model, file, accuracy)
    figures = {item.runtime: item.accuracy for item in read_card(model).files}
    assert figures.pop(file.runtime) == accuracy
    assert set(figures.values()) == {None}
    assert not list(model.glob("*.draft"))


def make_kind(kind: Kind, ap: float) -> KindAccuracy:
    return KindAccuracy(
        kind, (ClassAccuracy("cat", category_id=1, objects=3, ap=ap, ap50=ap + 0.2, ap75=ap),)
    )


def make_row(precision: str, mask_ap: float) -> Row:
    file = ArtifactFile.model_validate(
        {"path": "a", "runtime": "onnx", "precision": precision, "sha256": "0" * 64, "bytes": 2_500_000}
    )
    evaluation = Evaluation(1, make_kind("segm", mask_ap), make_kind("bbox", 0.4), threshold=0.3, f1=0.5)
    return Row(file, {"heatmap": 0.0123, "size": 1.5}, 7.125, evaluation)


def test_a_row_gives_percents_and_what_was_lost() -> None:
    *_, fp32, int8 = draw_rows([make_row("fp32", 0.3), make_row("int8", 0.29)]).splitlines()
    assert fp32 == (
        "| onnx | fp32 | 0.012 | 1.5 | 30.00 (+0.00) | 50.00 (+0.00) | 40.00 (+0.00) | 7.1 | 2.50 |"
    )
    assert "| 29.00 (-1.00) |" in int8


def test_categories_have_a_row_each_and_the_means_the_last() -> None:
    evaluation = Evaluation(1, make_kind("segm", 0.25), make_kind("bbox", math.nan), threshold=0.3, f1=0.5)
    *_, cat, mean = draw_categories(evaluation).splitlines()
    assert cat == "| cat | 3 | 0.250 | 0.450 | 0.250 | 3 | - | - |"
    assert mean == "| **mean** | 3 | 0.250 | 0.450 | 0.250 | 3 | - | - |"


def test_only_what_is_between_marks_is_replaced() -> None:
    text = "a <!-- files -->old<!-- /files --> b <!-- categories --> unclosed"
    filled = fill_marks(text, {"files": "| 1 |", "categories": "| 2 |", "other": "| 3 |"})
    assert filled == "a <!-- files -->\n| 1 |\n<!-- /files --> b <!-- categories --> unclosed"
    assert fill_marks(filled, {"files": "| 1 |"}) == filled
