"""Calibrated models report shares of right answers as scores, and cut by them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import InvalidCard
from service.inference.backends import BackendChoice
from service.inference.card import read_card
from service.inference.segmenter import open_model
from service.types import Options, Pixels, Segmentation
from tests.service.conftest import WriteToy

POINTS = [[0, 0], [0.2, 0.5], [0.6, 0.9], [1, 1]]
ALL = Options(score_threshold=0.0)


@pytest.fixture
def folder(write_toy: WriteToy, tmp_path: Path) -> Path:
    return write_toy(tmp_path / "toy")


@pytest.fixture
def picture() -> Pixels:
    """Dots of many reds and greens, which the toy takes for objects of as many scores."""
    random = np.random.default_rng(5)
    pixels = np.zeros((64, 96, 3), np.uint8)
    for row in range(2, 62, 8):
        for column in range(2, 94, 8):
            pixels[row : row + 4, column : column + 4, random.integers(2)] = random.integers(1, 255)
    return pixels


def calibrate(folder: Path, points: Any = POINTS, *, schema_version: int = 2) -> None:
    card = json.loads((folder / "card.json").read_text())
    card |= {"schema_version": schema_version, "calibration": {"points": points}}
    (folder / "card.json").write_text(json.dumps(card))


def ask(folder: Path, picture: Pixels, options: Options = ALL) -> Segmentation:
    model = open_model(folder, BackendChoice(runtime="onnx", precision="fp32"))
    try:
        return model.segment_pixels(picture, options)
    finally:
        model.close()


def test_scores_are_mapped_and_nothing_else_changes(folder: Path, picture: Pixels) -> None:
    plain = ask(folder, picture).instances
    calibrate(folder)
    mapped = ask(folder, picture).instances
    assert len(mapped) == len(plain) > 10
    expected = np.interp([each.score for each in plain], *np.array(POINTS).T)
    np.testing.assert_allclose([each.score for each in mapped], expected, atol=1e-6)
    assert [(each.label, each.bbox, each.area) for each in mapped] == [
        (each.label, each.bbox, each.area) for each in plain
    ]


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5, 0.73, 0.9, 0.95, 1.0])
def test_the_threshold_is_one_of_reported_scores(folder: Path, picture: Pixels, threshold: float) -> None:
    calibrate(folder)
    everything = ask(folder, picture).instances
    kept = ask(folder, picture, Options(score_threshold=threshold)).instances
    assert kept == tuple(each for each in everything if each.score >= threshold)


def test_a_score_is_never_lost_to_rounding(folder: Path, picture: Pixels) -> None:
    calibrate(folder)
    for each in ask(folder, picture).instances:
        found = ask(folder, picture, Options(score_threshold=each.score)).instances
        assert min(one.score for one in found) == each.score


@pytest.mark.parametrize(
    "points",
    [
        [],
        [[0, 0]],
        [[0, 0], [0.5, 0.5]],
        [[0, 0.1], [1, 1]],
        [[0, 0], [0.5, 0.5], [0.5, 0.6], [1, 1]],
        [[0, 0], [0.5, 0.5], [0.7, 0.5], [1, 1]],
        [[0, 0], [1, 1.1]],
        [[0, 0], [float("nan"), 0.5], [1, 1]],
    ],
)
def test_a_map_that_does_not_rise_from_0_to_1_is_refused(folder: Path, points: list[list[float]]) -> None:
    calibrate(folder, points)
    with pytest.raises(InvalidCard, match="calibration"):
        read_card(folder)


def test_version_1_knows_no_calibration(folder: Path) -> None:
    calibrate(folder, schema_version=1)
    with pytest.raises(InvalidCard, match="only schema_version 2"):
        read_card(folder)
