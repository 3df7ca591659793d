"""The precision of a model folder, and its record on the card."""

import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from service.inference.backends import BackendChoice, choose_file
from service.inference.backends.base import RuntimeChoice
from service.inference.card import Accuracy, read_card
from training.data.validate import read_content
from training.evaluation.evaluate import draw_table, evaluate_detections, match_categories, record_accuracy


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
