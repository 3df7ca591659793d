"""The parity table, its figures and its way into the card."""

import json
import math
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from service.card import ArtifactFile, read_card
from service.types import BackendInfo, Heads, Pixels, Size
from training.__main__ import app
from training.accuracy import ClassAccuracy, KindAccuracy
from training.evaluate import Verdict
from training.federation import Kind
from training.parity import (
    Row,
    draw_categories,
    draw_rows,
    fill_marks,
    largest_differences,
    name_processor,
    read_canvases,
    time_frames,
)


class SlowBackend:
    """Takes a hundredth of a second for every third frame, and a fifth of that else."""

    def __init__(self) -> None:
        self.frames: list[Pixels] = []

    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        self.frames.append(pixels)
        time.sleep(0.01 if len(self.frames) % 3 == 0 else 0.002)
        return {}

    def describe(self) -> BackendInfo:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def make_kind(kind: Kind, ap: float) -> KindAccuracy:
    return KindAccuracy(
        kind, (ClassAccuracy("cat", category_id=1, objects=3, ap=ap, ap50=ap + 0.2, ap75=ap),)
    )


def make_row(precision: str, mask_ap: float) -> Row:
    file = ArtifactFile.model_validate(
        {"path": "a", "runtime": "onnx", "precision": precision, "sha256": "0" * 64, "bytes": 2_500_000}
    )
    verdict = Verdict(1, make_kind("segm", mask_ap), make_kind("bbox", 0.4), threshold=0.3, f1=0.5)
    return Row(file, {"heatmap": 0.0123, "size": 1.5}, 7.125, verdict)


def test_a_row_gives_percents_and_what_was_lost() -> None:
    *_, fp32, int8 = draw_rows([make_row("fp32", 0.3), make_row("int8", 0.29)]).splitlines()
    assert fp32 == (
        "| onnx | fp32 | 0.012 | 1.5 | 30.00 (+0.00) | 50.00 (+0.00) | 40.00 (+0.00) | 7.1 | 2.50 |"
    )
    assert "| 29.00 (-1.00) |" in int8


def test_categories_have_a_row_each_and_the_means_the_last() -> None:
    verdict = Verdict(1, make_kind("segm", 0.25), make_kind("bbox", math.nan), threshold=0.3, f1=0.5)
    *_, cat, mean = draw_categories(verdict).splitlines()
    assert cat == "| cat | 3 | 0.250 | 0.450 | 0.250 | 3 | - | - |"
    assert mean == "| **mean** | 3 | 0.250 | 0.450 | 0.250 | 3 | - | - |"


def test_only_what_is_between_marks_is_replaced() -> None:
    text = "a <!-- files -->old<!-- /files --> b <!-- categories --> unclosed"
    filled = fill_marks(text, {"files": "| 1 |", "categories": "| 2 |", "other": "| 3 |"})
    assert filled == "a <!-- files -->\n| 1 |\n<!-- /files --> b <!-- categories --> unclosed"
    assert fill_marks(filled, {"files": "| 1 |"}) == filled


def test_differences_are_the_largest_by_head() -> None:
    heads = {"size": np.array([1, 5, 2], np.float32), "heatmap": np.zeros(2, np.float32)}
    reference = {"size": np.array([1, 2, 4], np.float32), "heatmap": np.zeros(2, np.float32)}
    assert largest_differences(heads, reference) == {"size": 3.0, "heatmap": 0.0}


def test_the_time_is_the_median_of_single_frames() -> None:
    backend = SlowBackend()
    canvases = np.zeros((2, 4, 4, 3), np.uint8)
    assert 2 <= time_frames(backend, canvases, count=9) < 9
    assert len(backend.frames) == 10
    assert all(frame.shape == (1, 4, 4, 3) for frame in backend.frames)


def test_the_processor_has_a_name() -> None:
    assert name_processor()


def test_canvases_are_letterboxed(workshop: Path) -> None:
    canvases = read_canvases(sorted((workshop / "data" / "images").iterdir()), Size(64, 96))
    assert canvases.shape == (2, 64, 96, 3)
    assert (canvases[1, :, 60:] == 127).all()


@pytest.mark.timeout(900)
def test_the_command_prints_writes_and_records_a_row_per_file(workshop: Path, tmp_path: Path) -> None:
    model, figures = shutil.copytree(workshop / "model", tmp_path / "tiny"), tmp_path / "rows.json"
    (model / "README.md").write_text("# tiny\n<!-- files --><!-- /files -->\n")
    data = ("--data", workshop / "data", "--split", "train")
    arguments = ["parity", model, *data, "--pictures", 2, "--out", figures, "--record"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    rows = json.loads(figures.read_text())
    files = read_card(model).files
    assert [(row["runtime"], row["precision"]) for row in rows] == [
        (file.runtime, file.precision) for file in files
    ]
    for row, file in zip(rows, files, strict=True):
        assert f"| {file.runtime} | {file.precision} |" in result.output
        assert max(row["differences"].values()) < 1e-2
        assert file.accuracy is not None
        assert file.accuracy.mask_ap == pytest.approx(row["verdict"]["mask_ap"], abs=1e-3)
        assert file.latency is not None
        assert file.latency.milliseconds == pytest.approx(row["milliseconds"], abs=0.01)
        assert f"| {file.runtime} | {file.precision} |" in (model / "README.md").read_text()
    threshold = read_card(model).decoder.score_threshold
    assert threshold == pytest.approx(rows[0]["verdict"]["threshold"], abs=0.005)
    assert not list(model.glob("*.draft"))
