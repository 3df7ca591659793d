"""A run at a glance."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from service.types import Pixels
from training.run_log import plot_curves

LINE = {"step": 5, "rate": 0.1, "momentum": 0.9, "focal": 2.0, "l1": 1.0, "iou": 0.5}
MARK = {"mask_ap": 0.25, "mask_ap50": 0.5, "box_ap": 0.3}


def draw(path: Path, *lines: dict[str, float]) -> Pixels:
    plot_curves(lines, path)
    return np.asarray(cv2.imread(str(path)), np.uint8)


@pytest.mark.parametrize("lines", [(), (LINE,), (LINE, {**LINE, "step": 9, "rate": 0.0}), (LINE | MARK,)])
def test_a_run_of_any_length_is_drawn(tmp_path: Path, lines: tuple[dict[str, float], ...]) -> None:
    assert draw(tmp_path / "curves.png", *lines).shape[2] == 3


@pytest.mark.parametrize("name", ["momentum", "rate", "mask_ap", "focal"])
def test_every_quantity_is_drawn(tmp_path: Path, name: str) -> None:
    lines = [LINE | MARK, {**LINE, **MARK, "step": 9}]
    other = {**lines[1], name: lines[1][name] / 2}
    assert (draw(tmp_path / "a.png", *lines) != draw(tmp_path / "b.png", lines[0], other)).any()
