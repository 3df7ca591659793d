"""The map from a network's scores to shares of right answers, and its place on the card."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from service.inference.calibration import Calibration
from service.inference.card import read_card
from training.commands import app
from training.data.faults import DataRefused
from training.evaluation.calibrate import (
    Answered,
    cross_validate,
    fit_calibration,
    measure_error,
    split_content,
    write_calibration,
)


def draw_answers(count: int, seed: int = 0) -> Answered:
    """Answers that are right with the probability of the square root of their score."""
    random = np.random.default_rng(seed)
    scores = random.uniform(0, 1, count)
    return Answered(scores, random.uniform(0, 1, count) < np.sqrt(scores))


def test_the_map_is_the_share_of_right_answers() -> None:
    calibration = fit_calibration(draw_answers(20_000))
    scores = np.array([0.2, 0.5, 0.8], np.float32)
    np.testing.assert_allclose(calibration.report(scores), np.sqrt(scores), atol=0.03)


def test_the_error_falls_on_answers_that_the_map_has_not_seen() -> None:
    calibration, unseen = fit_calibration(draw_answers(5_000)), draw_answers(5_000, seed=1)
    reported = calibration.report(unseen.scores.astype(np.float32)).astype(np.float64)
    assert measure_error(Answered(reported, unseen.hits)) < measure_error(unseen) / 3


@pytest.mark.parametrize("right", [0, 29])
def test_too_few_right_answers_are_refused(right: int) -> None:
    hits = np.arange(1000) < right
    with pytest.raises(DataRefused, match=f"{right} right answers are too few"):
        fit_calibration(Answered(np.linspace(0, 1, 1000), hits))


def test_answers_that_are_all_right_still_give_a_rising_map() -> None:
    calibration = fit_calibration(Answered(np.full(40, 1.0), np.ones(40, bool)))
    assert calibration.points == ((0, 0), (1, 1))


def test_each_half_is_reported_with_the_map_of_the_other() -> None:
    """The two halves contradict each other, so that a map of the same half would do better."""
    random = np.random.default_rng(3)
    names = [f"{number}.jpg" for number in range(200)]
    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    box = {"bbox": [0, 0, 8, 8], "segmentation": [[0, 0, 8, 0, 8, 8, 0, 8]], "category_id": 1}
    content = {
        "images": [{**entry, "height": 8, "width": 8} for entry in images],
        "annotations": [{**box, "image_id": entry["id"], "iscrowd": 0} for entry in images],
        "categories": [{"id": 1, "name": "square"}],
    }
    inside = {entry["id"] for entry in split_content(content)[0]["images"]}
    mask = {"size": [8, 8], "counts": b"0P2"}
    detections = [
        {**box, "segmentation": mask, "image_id": entry["id"], "score": score}
        for entry in images
        for score in random.uniform(0.5, 1.0, 1 if entry["id"] in inside else 4)
    ]
    before, after = cross_validate(content, detections)
    assert after > 0.2
    assert before < after


def test_the_card_takes_the_map_and_the_threshold(trained: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(trained / "model", tmp_path / "tiny"))
    calibration = Calibration(points=((0, 0), (0.2, 0.5), (1, 1)))
    write_calibration(model, calibration, 0.4)
    card = read_card(model)
    assert (card.calibration, card.decoder.score_threshold) == (calibration, 0.4)


def test_the_command_says_when_the_set_is_too_small(trained: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(trained / "model", tmp_path / "tiny"))
    before = (model / "card.json").read_text()
    done = CliRunner().invoke(
        app, ["calibrate", str(model), "--data", str(trained / "data"), "--split", "train"]
    )
    assert done.exit_code == 2
    assert "right answers are too few" in done.output
    assert (model / "card.json").read_text() == before
