"""Validation during training."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.inference.backends import BackendChoice
from service.inference.segmenter import open_model
from service.types import Options, Size
from training.checkpoint import load_network
from training.data.datasets import EvaluationSet
from training.data.pictures import read_image
from training.validation import EarlyStopping, Evaluator, Validation, open_network, pick_pictures

SIDE = 192  # of the trained's model


@pytest.fixture
def evaluation_set(trained: Path) -> EvaluationSet:
    content = json.loads((trained / "data" / "instances_train.json").read_text())
    return EvaluationSet(content, trained / "data" / "images", "all")


def test_a_network_that_knows_its_pictures_by_heart_passes(
    trained: Path, evaluation_set: EvaluationSet
) -> None:
    network, labels = load_network(trained / "run" / "checkpoint.pt")
    evaluator = Evaluator(evaluation_set, labels, Size(SIDE, SIDE), pictures=9)
    evaluation = evaluator.evaluate(network)
    means = evaluator.measure(network)
    assert means.mask_ap == evaluation.masks.ap > 0.9
    assert means.box_ap50 == evaluation.boxes.ap50
    assert {item["image_id"] for item in evaluator.detections} == {1, 2}


def test_it_finds_what_its_export_finds(trained: Path, evaluation_set: EvaluationSet) -> None:
    network, labels = load_network(trained / "run" / "checkpoint.pt")
    pixels = read_image(evaluation_set.images / "1.png")
    served = open_model(trained / "model", BackendChoice(runtime="onnx"))
    ours = open_network(network, labels, Size(SIDE, SIDE))
    answers = [item.segment_pixels(pixels, Options()).instances for item in (served, ours)]
    for one, other in zip(*answers, strict=True):
        assert one.label == other.label
        assert one.score == pytest.approx(other.score, abs=1e-3)
        np.testing.assert_allclose(one.bbox, other.bbox, atol=0.1)
    assert ours.backend.describe().runtime == "torch"


@pytest.mark.parametrize(
    ("count", "ids"), [(9, [1, 2, 3, 4, 5]), (5, [1, 2, 3, 4, 5]), (3, [1, 3, 5]), (1, [1])]
)
def test_pictures_are_picked_evenly_with_their_objects(count: int, ids: list[int]) -> None:
    content: dict[str, Any] = {
        "images": [{"id": number} for number in range(1, 6)],
        "annotations": [{"image_id": number} for number in range(1, 6)],
    }
    picked = pick_pictures(content, count)
    assert [entry["id"] for entry in picked["images"]] == ids
    assert [item["image_id"] for item in picked["annotations"]] == ids


def watch(*scores: float) -> EarlyStopping:
    state = EarlyStopping()
    for epoch, score in enumerate(scores):
        state = state.after(score, epoch=epoch)
    return state


def test_the_best_is_remembered_with_its_epoch() -> None:
    assert watch(0.1, 0.5, 0.4, 0.5) == EarlyStopping(0.5, epoch=1, stale=2)


def test_nothing_to_find_is_no_improvement() -> None:
    assert watch(math.nan, math.nan) == EarlyStopping(stale=2)


@pytest.mark.parametrize(("patience", "out"), [(None, False), (3, False), (2, True), (1, True)])
def test_patience_runs_out_after_so_many(patience: int | None, out: bool) -> None:
    assert watch(0.5, 0.4, 0.4).is_out_of_patience(Validation(patience=patience)) is out


def test_without_validation_a_run_is_not_stopped_early() -> None:
    assert not watch(0.5, 0.4, 0.4).is_out_of_patience(None)


def test_validations_come_every_so_many_epochs() -> None:
    assert [epoch for epoch in range(7) if Validation(every=3).is_due(epoch)] == [2, 5]
