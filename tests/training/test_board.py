"""What a run shows on TensorBoard, read back as TensorBoard does."""

from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from service.types import Pixels
from training.run_log import MeanPrecision, Report, TensorBoardLog, ValidationResult

MEANS = MeanPrecision(0.25, 0.5, 0.3, 0.6)


def report(step: int, *, validation: bool = False) -> Report:
    found = ValidationResult(MEANS, is_best=True) if mark else None
    return Report(step, 0, 0.1, 0.01 * step, 0.9, {"focal": 2.0, "dice": 1.0}, 8.0, validation=found)


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
    assert found.Scalars("pace/rate")[1].value == pytest.approx(0.03)
    assert found.Scalars("val/mask_ap50")[0].value == 0.5
    (image,) = found.Images("val/asked for, found")
    assert (image.step, image.width, image.height) == (3, 30, 20)


def test_a_resumed_run_shows_no_step_twice(tmp_path: Path) -> None:
    for start in (1, 3):
        board = TensorBoardLog(tmp_path, draw, every=1)
        for step in range(start, 6):
            board.write(report(step))
        board.close()
    assert steps(read(tmp_path), "pace/momentum") == [1, 2, 3, 4, 5]


def test_a_board_that_nothing_was_written_to_is_closed(tmp_path: Path) -> None:
    TensorBoardLog(tmp_path, draw).close()
    assert not list(tmp_path.iterdir())
