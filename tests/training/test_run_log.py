"""The records of a run: JSON lines, TensorBoard and curves."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from service.types import Pixels
from training.run_log import (
    JsonLog,
    MeanPrecision,
    StepReport,
    TensorBoardLog,
    ValidationResult,
    plot_curves,
    read_log,
)

MEANS = MeanPrecision(0.25, 0.5, 0.3, 0.6)


def report(step: int, *, validation: bool = False) -> StepReport:
    found = ValidationResult(MEANS, is_best=True) if validation else None
    return StepReport(step, 0, 0.1, 0.01 * step, 0.9, {"focal": 2.0, "dice": 1.0}, 8.0, validation=found)


def draw() -> Pixels:
    return np.full((20, 30, 3), 200, np.uint8)


def read(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def steps(found: EventAccumulator, name: str) -> list[int]:
    return [event.step for event in found.Scalars(name)]


def test_scalars_and_pictures_are_there(tmp_path: Path) -> None:
    board = TensorBoardLog(tmp_path, draw, every=2)
    for step in (1, 2, 3):
        board.write(report(step, validation=step == 3))
    board.close()
    found = read(tmp_path)
    assert steps(found, "loss/all") == [2, 3]
    assert found.Scalars("loss/all")[0].value == 3.0
    assert found.Scalars("step/rate")[1].value == pytest.approx(0.03)
    assert found.Scalars("val/mask_ap50")[0].value == 0.5
    (image,) = found.Images("val/truth, detections")
    assert (image.step, image.width, image.height) == (3, 30, 20)


def test_a_resumed_run_shows_no_step_twice(tmp_path: Path) -> None:
    for start in (1, 3):
        board = TensorBoardLog(tmp_path, draw, every=1)
        for step in range(start, 6):
            board.write(report(step))
        board.close()
    assert steps(read(tmp_path), "step/momentum") == [1, 2, 3, 4, 5]


def test_a_tensorboard_log_that_nothing_was_written_to_is_closed(tmp_path: Path) -> None:
    TensorBoardLog(tmp_path, draw).close()
    assert not list(tmp_path.iterdir())


def make_report(step: int, loss: float = 1.0, validation: ValidationResult | None = None) -> StepReport:
    terms = {"focal": loss, "dice": 0.5}
    return StepReport(
        step, step // 4, step / 10, 0.1, 0.9, terms, images_per_second=4.0, validation=validation
    )


def test_the_log_holds_means_of_the_terms(tmp_path: Path) -> None:
    log = JsonLog(tmp_path / "log.jsonl", every=2)
    for step, loss in enumerate((1.0, 2.0, 5.0), 1):
        log.write(make_report(step, loss))
    (line,) = read_log(tmp_path / "log.jsonl")
    assert (line["focal"], line["step"], line["momentum"]) == (1.5, 2, 0.9)


def test_a_validation_is_written_at_once(tmp_path: Path) -> None:
    log = JsonLog(tmp_path / "log.jsonl", every=20)
    log.write(make_report(1, validation=ValidationResult(MeanPrecision(mask_ap=0.25), is_best=True)))
    (line,) = read_log(tmp_path / "log.jsonl")
    assert line["mask_ap"] == 0.25


def test_a_resumed_run_overwrites_what_was_logged_beyond_its_checkpoint(tmp_path: Path) -> None:
    first = JsonLog(tmp_path / "log.jsonl", every=1)
    for step in (1, 2, 3):
        first.write(make_report(step, loss=9.0))
    resumed = JsonLog(tmp_path / "log.jsonl", every=1)
    for step in (2, 3):
        resumed.write(make_report(step))
    assert [(line["step"], line["focal"]) for line in read_log(tmp_path / "log.jsonl")] == [
        (1, 9.0),
        (2, 1.0),
        (3, 1.0),
    ]


def test_a_line_cut_short_by_a_crash_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"step": 1}) + '\n{"step": 2, "ep')
    assert read_log(path) == [{"step": 1}]


def test_a_loss_is_the_sum_of_its_terms() -> None:
    assert make_report(1, loss=2.0).loss == 2.5


LINE = {"step": 5, "rate": 0.1, "momentum": 0.9, "focal": 2.0, "l1": 1.0, "iou": 0.5}
MARK = {"mask_ap": 0.25, "mask_ap50": 0.5, "box_ap": 0.3}


def plot(path: Path, *lines: dict[str, float]) -> Pixels:
    plot_curves(lines, path)
    return np.asarray(cv2.imread(str(path)), np.uint8)


@pytest.mark.parametrize("lines", [(), (LINE,), (LINE, {**LINE, "step": 9, "rate": 0.0})])
def test_a_run_of_any_length_is_drawn(tmp_path: Path, lines: tuple[dict[str, float], ...]) -> None:
    assert plot(tmp_path / "curves.png", *lines).shape[2] == 3


def test_every_quantity_is_drawn(tmp_path: Path) -> None:
    lines = [LINE | MARK, {**LINE, **MARK, "step": 9}]
    drawn = plot(tmp_path / "curves.png", *lines)
    for name in ("momentum", "rate", "mask_ap", "focal"):
        other = {**lines[1], name: lines[1][name] / 2}
        assert (plot(tmp_path / "other.png", lines[0], other) != drawn).any(), name
