"""The command line."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from service.inference.card import Card, read_card
from tests.training.conftest import BY_HEART
from training.commands import app
from training.evaluation.evaluate import parse_ids
from training.export.model_folder import ModelInfo
from training.session import Run

QUICK = [
    word
    for setting in (
        "width=0.25",
        "neck_channels=8",
        "epochs=1",
        "batch_size=2",
        "workers=0",
        "init_weights=None",
    )
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


def test_evaluation_prints_writes_and_records_its_figures(trained: Path, tmp_path: Path) -> None:
    model = shutil.copytree(trained / "model", tmp_path / "a model")
    figures = tmp_path / "figures.json"
    data = ("--data", trained / "data", "--split", "train")
    result = invoke("evaluate", model, *data, "--runtime", "onnx", "--out", figures, "--record")
    assert result.exit_code == 0, result.output
    assert "disc" in result.output
    mean = json.loads(figures.read_text())["mask_ap"]
    accuracy = next(file.accuracy for file in read_card(model).files if file.runtime == "onnx")
    assert accuracy is not None
    assert accuracy.mask_ap == pytest.approx(mean, abs=1e-3)
    assert accuracy.mask_ap > 0.9
    assert accuracy.data == "data train"
    again = invoke(*shlex.split(accuracy.command)[3:], "--out", tmp_path / "again.json")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "again.json").read_text() == figures.read_text()


def test_a_recorded_command_names_the_file_that_was_chosen(trained: Path, tmp_path: Path) -> None:
    model = shutil.copytree(trained / "model", tmp_path / "model")
    data = ("--data", trained / "data", "--split", "train")
    assert invoke("evaluate", model, *data, "--record").exit_code == 0
    (recorded,) = (file for file in read_card(model).files if file.accuracy is not None)
    assert recorded.accuracy is not None
    assert f"--runtime {recorded.runtime} --precision fp32" in recorded.accuracy.command


def test_a_run_gets_the_command_that_was_typed(
    tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[Run] = []
    (tmp_path / "report.md").touch()
    monkeypatch.setattr("training.commands.run_training", runs.append)
    monkeypatch.setattr("training.commands.export_and_report", lambda run, console: tmp_path / "report.md")
    typed = {
        "--data": tiny_set,
        "--recipe": "default_model",
        "--out": tmp_path / "my run",
        "--name": "shapes",
        "--init": tmp_path,
        "--teacher": tmp_path,
        "--hours": 0.5,
        "--set": 'stages=[{"until": 1, "side": 64}]',
        "--bad-data": "refuse",
        "--licences": "all",
        "--runtimes": "onnx",
    }
    words = [word for option, value in typed.items() for word in (option, str(value))]
    assert invoke("train", *words).exit_code == 0
    assert shlex.split(runs[0].command) == ["python", "-m", "training", "train", *words]
    known = typer.main.get_command(app).commands["train"].params  # type: ignore[attr-defined]
    assert {parameter.opts[0] for parameter in known} == set(typed)


@pytest.mark.parametrize(("setting", "unlabelled"), [("True", set()), ("False", {0})])
def test_what_is_assumed_absent_need_not_be_trusted(
    tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, unlabelled: set[int]
) -> None:
    file = tiny_set / "instances_train.json"
    content = json.loads(file.read_text())
    for entry in content["images"]:
        entry |= {"exhaustive_category_ids": [3], "assumed_absent_category_ids": [7]}
    file.write_text(json.dumps(content))
    runs: list[Run] = []
    (tmp_path / "report.md").touch()
    monkeypatch.setattr("training.commands.run_training", runs.append)
    monkeypatch.setattr("training.commands.export_and_report", lambda run, console: tmp_path / "report.md")
    out = ("--out", tmp_path / "run")
    assert invoke("train", "--data", tiny_set, *out, "--set", f"trust_absence={setting}").exit_code == 0
    assert runs[0].datasets.training.pictures[0].unlabelled == unlabelled


@pytest.mark.parametrize(("text", "ids"), [("", None), ("3", {3}), ("1-3,20", {1, 2, 3, 20}), ("5-5", {5})])
def test_ids_are_read_from_spans(text: str, ids: set[int] | None) -> None:
    assert parse_ids(text) == ids


def test_a_missing_set_is_a_usage_error(tmp_path: Path) -> None:
    result = invoke("train", "--data", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "--data" in result.output


def test_an_interrupted_run_names_the_command_that_continues_it(
    tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(run: Run) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("training.commands.run_training", interrupt)
    words = ["train", "--data", str(tiny_set), "--out", str(tmp_path / "my run"), "--runtimes", "onnx"]
    found = invoke(*words)
    assert found.exit_code == 130
    told = shlex.split(found.stderr.splitlines()[-1])
    assert told[:4] == ["python", "-m", "training", "train"]
    assert set(words) <= set(told)


def test_an_export_writes_the_files_that_are_asked_for(trained: Path, tmp_path: Path) -> None:
    export = ("export", trained / "run" / "checkpoint.pt", tmp_path / "new", "--side", 96)
    script = tmp_path / "new.pt"
    result = invoke(*export, "--runtimes", "ncnn", "--torchscript", script)
    assert result.exit_code == 0, result.output
    card = read_card(tmp_path / "new")
    assert [file.runtime for file in card.files] == ["ncnn"]
    assert card.description == "BlitzMask."
    assert script.exists()
    empty = invoke(*export, "--runtimes", "")
    assert empty.exit_code == 2
    assert "name a runtime" in empty.output


def test_an_export_has_the_threshold_of_the_best_f1(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thresholds: list[float] = []

    def keep(network: object, info: ModelInfo, folder: Path, *, exporters: object) -> Card:
        thresholds.append(info.score_threshold)
        return read_card(trained / "model")

    monkeypatch.setattr("training.commands.export_model", keep)
    export = (
        "export",
        trained / "run" / "checkpoint.pt",
        tmp_path / "new",
        "--side",
        BY_HEART.stages[0].side,
    )
    data = ("--data", trained / "data", "--split", "train")
    for options in ((), ("--threshold", "0.4"), (*data, "--threshold", "0.4"), data):
        result = invoke(*export, *options)
        assert result.exit_code == 0, result.output
    assert thresholds[:3] == [0.3, 0.4, 0.4]
    figures = tmp_path / "figures.json"
    assert invoke("evaluate", trained / "model", *data, "--runtime", "onnx", "--out", figures).exit_code == 0
    assert thresholds[3] == pytest.approx(json.loads(figures.read_text())["threshold"], abs=0.02)
