"""The command line, as a user types it."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.card import read_card
from training.__main__ import app
from training.evaluate import parse_ids

pytestmark = pytest.mark.timeout(900)  # an export takes a minute, on a busy machine several


QUICK = [
    word
    for setting in ("width=0.25", "neck_channels=8", "epochs=1", "batch_size=2", "workers=0", "origin=None")
    for word in ("--set", setting)
] + ["--set", 'stages=[{"until": 1, "side": 64}]']


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_run_leaves_a_checkpoint_and_goes_on_from_it(tiny_set: Path, tmp_path: Path) -> None:
    arguments = ("train", "--data", tiny_set, "--out", tmp_path / "run", "--runtimes", "", *QUICK)
    assert invoke(*arguments).exit_code == 0
    first = (tmp_path / "run" / "checkpoint.pt").stat().st_mtime_ns
    result = invoke(*arguments)
    assert result.exit_code == 0
    assert (tmp_path / "run" / "checkpoint.pt").stat().st_mtime_ns > first


def test_evaluation_prints_writes_and_records_its_figures(workshop: Path, tmp_path: Path) -> None:
    model = shutil.copytree(workshop / "model", tmp_path / "tiny")
    figures = tmp_path / "figures.json"
    data = ("--data", workshop / "data", "--split", "train")
    result = invoke("evaluate", model, *data, "--runtime", "onnx", "--out", figures, "--record")
    assert result.exit_code == 0, result.output
    assert "disc" in result.output
    mean = json.loads(figures.read_text())["mask_ap"]
    accuracy = next(file.accuracy for file in read_card(model).files if file.runtime == "onnx")
    assert accuracy is not None
    assert accuracy.mask_ap == pytest.approx(mean, abs=1e-3)
    assert accuracy.mask_ap > 0.9
    assert accuracy.data == "data train"


@pytest.mark.parametrize(("text", "ids"), [("", None), ("3", {3}), ("1-3,20", {1, 2, 3, 20}), ("5-5", {5})])
def test_ids_are_read_from_spans(text: str, ids: set[int] | None) -> None:
    assert parse_ids(text) == ids


def test_a_missing_set_is_a_usage_error(tmp_path: Path) -> None:
    result = invoke("train", "--data", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "--data" in result.output
