"""The command line: arguments in, text and an exit status out."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, get_args

import cv2
import numpy as np
import orjson
import pytest

from service import __version__
from service.rest.schemas import SegmentAnswer
from service.security.callers import Key, hash_key, parse_key
from service.settings import Settings
from service.types import MaskFormat
from tests.service.models import copy_with_fast_int8, spoil_int8

ROOT = Path(__file__).resolve().parents[2]

COMMANDS = ("serve", "predict", "batch", "camera", "import", "compare", "models", "doctor", "key", "settings")

Run: TypeAlias = Callable[..., tuple[int, str, str]]  # arguments to status, output and errors


@pytest.fixture
def run(toy_folder: Path, monkeypatch: pytest.MonkeyPatch, run_command: Run) -> Run:
    """Runs a command with the toy model; returns exit status, standard output and standard error."""
    monkeypatch.setenv("BLITZ_MODELS_DIR", str(toy_folder.parent))
    monkeypatch.setenv("BLITZ_RUNTIME", "onnx")
    return run_command


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A PNG on which the toy finds a rose, in its blue half."""
    picture = np.zeros((128, 192, 3), np.uint8)
    picture[40:88, 60:132] = (255, 0, 255)
    path = tmp_path / "photo.png"
    assert cv2.imwrite(str(path), picture)
    return path


def test_predict_shows_what_it_found(run: Run, photo: Path) -> None:
    status, output, complaints = run("predict", photo)
    assert (status, complaints) == (0, "")
    assert "photo.png (192 x 128), toy 1" in output
    assert "rose" in output


def test_predict_writes_the_answer_as_rest_gives_it(run: Run, photo: Path, tmp_path: Path) -> None:
    assert run("predict", photo, "--json", tmp_path / "out.json")[0] == 0
    answer = SegmentAnswer.model_validate_json((tmp_path / "out.json").read_bytes())
    assert answer.instances[0].label == "rose"
    assert (answer.image.height, answer.image.width) == (128, 192)


def test_predict_draws_an_overlay_of_the_pictures_size(run: Run, photo: Path, tmp_path: Path) -> None:
    assert run("predict", photo, "-o", tmp_path / "overlay.png")[0] == 0
    drawn, plain = cv2.imread(str(tmp_path / "overlay.png")), cv2.imread(str(photo))
    assert drawn is not None
    assert plain is not None
    assert drawn.shape == plain.shape
    assert (drawn != plain).any()


@pytest.mark.parametrize("masks", get_args(MaskFormat))
def test_predict_writes_masks_in_the_form_asked_for(
    run: Run, photo: Path, tmp_path: Path, masks: str
) -> None:
    out, overlay = tmp_path / "out.json", tmp_path / "overlay.png"
    assert run("predict", photo, "--json", out, "-o", overlay, "--masks", masks)[0] == 0
    (rose, *_) = json.loads(out.read_bytes())["instances"]
    rings = {"rings"}
    keys = {
        "rle": {"size", "counts"},
        "rle_crop": {"size", "counts", "offset"},
        "polygon": rings,
        "contour": rings,
    }
    assert set(rose.get("segmentation", {})) == keys.get(masks, set())
    assert cv2.imread(str(overlay)) is not None


def test_predict_refuses_a_form_of_masks_that_nobody_knows(run: Run, photo: Path) -> None:
    status, _, complaints = run("predict", photo, "--masks", "polygons")
    assert status == 2
    assert "rle_crop" in complaints


def test_options_reach_the_model(run: Run, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    options = ("--model", "toy", "--version", "1", "--score-threshold", "0.2", "--max-instances", "1")
    assert run("predict", photo, "--json", out, *options, "--classes", "leaf, rose")[0] == 0
    assert len(json.loads(out.read_bytes())["instances"]) == 1
    assert run("predict", photo, "--json", out, "--classes", "leaf")[0] == 0
    assert json.loads(out.read_bytes())["instances"] == []


def test_a_file_that_fails_does_not_stop_the_others(run: Run, photo: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("no image")
    missing, out = tmp_path / "missing.png", tmp_path / "out.json"
    status, output, complaints = run("predict", missing, text, photo, "--json", out, "-o", tmp_path / "drawn")
    assert status == 1
    assert "rose" in output
    first, second = complaints.splitlines()
    assert first == f"error: {missing}: cannot be read: no such file or directory"
    assert second.startswith(f"error: {text}: ")
    (answer,) = json.loads(out.read_bytes())
    assert answer["path"] == str(photo)
    assert answer["instances"]
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["photo.png"]


def test_a_folder_is_no_image(run: Run, tmp_path: Path) -> None:
    status, _, complaints = run("predict", tmp_path)
    assert status == 1
    assert complaints == f"error: {tmp_path}: cannot be read: is a directory\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--classes", "unicorn"], "unknown classes 'unicorn'; toy knows rose, leaf"),
        (["--score-threshold", "7"], "score_threshold is 7.0"),
        (["--max-instances", "0"], "max_instances is 0"),
        (["--model", "none"], "there is no model none"),
        (["-o", "overlay.gif"], "overlay.gif: an overlay is one of .png, .jpg, .jpeg, .webp"),
        (["photo.png", "-o", "overlay.png"], "several images need a folder"),
        (["--json", "/dev/null/out.json"], "--json /dev/null/out.json: "),
    ],
)
def test_what_the_user_got_wrong_is_one_line_and_status_2(
    run: Run, photo: Path, arguments: list[str], text: str
) -> None:
    status, _, complaints = run("predict", photo, *arguments)
    assert status == 2
    assert text in complaints
    assert complaints.startswith("error: ")
    assert complaints.count("\n") == 1


def test_an_unknown_option_is_a_usage_error(run: Run, photo: Path) -> None:
    status, _, complaints = run("predict", photo, "--treshold", "1")
    assert status == 2
    assert "--treshold" in complaints


def test_an_overlay_that_cannot_be_written_is_told(run: Run, photo: Path) -> None:
    status, _, complaints = run("predict", photo, "-o", photo / "folder")
    assert status == 1
    assert complaints.startswith(f"error: {photo}: ")


def test_predict_makes_the_folders_of_its_outputs(run: Run, photo: Path, tmp_path: Path) -> None:
    overlay, out = tmp_path / "new" / "a" / "overlay.png", tmp_path / "new" / "b" / "out.json"
    assert run("predict", photo, "-o", overlay, "--json", out)[0] == 0
    assert overlay.is_file()
    assert out.is_file()
    assert run("predict", photo, "-o", tmp_path / "drawn" / "today")[0] == 0
    assert (tmp_path / "drawn" / "today" / "photo.png").is_file()


def test_models_lists_what_can_serve_and_why_others_cannot(run: Run) -> None:
    status, output, complaints = run("models")
    assert (status, complaints) == (0, "")
    for text in ("toy", "96 x 64", "fp32 CPU"):
        assert text in output


def test_without_any_model_the_reason_is_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLITZ_MODELS_DIR", str(tmp_path))
    status, _, complaints = run("models")
    assert status == 1
    assert complaints == (
        f"error: no model serves: BLITZ_MODELS_DIR={tmp_path}: it holds no folder with a card.json\n"
    )
    monkeypatch.setenv("BLITZ_MODELS_DIR", "/nonexistent/models")
    assert "BLITZ_MODELS_DIR=/nonexistent/models: there is no such folder" in run("models")[2]


def test_the_doctor_tells_people_and_programs_what_it_found(run: Run) -> None:
    status, output, complaints = run("doctor")
    assert (status, complaints) == (0, "")
    for text in ("machine", "onnxruntime", "toy tflite int8"):
        assert text in output
    status, output, _ = run("doctor", "--json")
    assert status == 0
    serving = [each["subject"] for each in orjson.loads(output) if each["found"].endswith("serves")]
    assert serving == ["toy onnx fp32"]


@pytest.mark.parametrize("command", [["doctor", "--json"], ["models"]])
def test_what_is_worth_a_warning_does_not_come_between_the_findings(
    run: Run, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """The fastest file fails its self-test, and fp32 serves instead."""
    folder = copy_with_fast_int8(toy_folder, tmp_path / "models" / "toy")
    spoil_int8(folder)
    monkeypatch.setenv("BLITZ_MODELS_DIR", str(folder.parent))
    monkeypatch.setenv("BLITZ_RUNTIME", "tflite")
    _, output, complaints = run(*command)
    assert "fails its self-test" in complaints
    assert "[warning" not in output


def test_the_doctor_of_a_service_that_cannot_serve_ends_with_status_1(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLITZ_PROVIDERS", "quantum")
    status, output, complaints = run("doctor")
    assert status == 1
    assert "no provider quantum" in output
    assert "cannot serve what the settings ask for" in complaints


def test_settings_lists_every_variable(run: Run) -> None:
    status, output, _ = run("settings")
    assert status == 0
    for name in ("BLITZ_HTTP_PORT", "BLITZ_GRPC_PORT", "BLITZ_MODELS_DIR"):
        assert name in output


@pytest.mark.parametrize("command", ["serve", "models", "settings", None])
def test_a_setting_that_cannot_be_used_stops_every_command(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str | None
) -> None:
    monkeypatch.setenv("BLITZ_SLOTS", "zero")
    status, output, complaints = run(*([command] if command else []))
    assert (status, output) == (2, "")
    assert complaints.startswith("error: BLITZ_SLOTS=zero: ")


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version") == (0, f"blitzmask {__version__}\n", "")


def test_serve_takes_host_and_ports_before_those_of_the_environment(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[Settings] = []

    def keep(settings: Settings, *, launched: object) -> int:
        served.append(settings)
        return 0

    monkeypatch.setattr("service.process.start.run_server", keep)
    monkeypatch.setattr("service.__main__.launch_ahead", lambda: None)
    monkeypatch.setenv("BLITZ_HTTP_PORT", "7000")
    monkeypatch.setenv("BLITZ_GRPC_PORT", "7001")
    assert run("serve", "--host", "0.0.0.0", "--port", "9000", "--watch")[0] == 0
    (settings,) = served
    assert (settings.host, settings.http_port, settings.grpc_port) == ("0.0.0.0", 9000, 7001)
    assert settings.watch_s > 0
    assert run("serve", "--grpc-port", "65536")[0] == 2


def test_help_names_the_commands(run: Run) -> None:
    status, output, _ = run("--help")
    assert status == 0
    for command in COMMANDS:
        assert command in output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_help(run: Run, command: str) -> None:
    status, output, _ = run(command, "--help")
    assert status == 0
    assert f"Usage: blitzmask {command}" in output


def test_the_command_line_itself_loads_nothing_heavy() -> None:
    program = "import sys, service.__main__; print(*{name.partition('.')[0] for name in sys.modules})"
    command = [sys.executable, "-c", program]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    heavy = {
        "torch",
        "training",
        "onnxruntime",
        "ai_edge_litert",
        "cv2",
        "numpy",
        "fastapi",
        "grpc",
        "pydantic",
    }
    assert not heavy & set(loaded)


def test_a_key_is_made_with_the_entry_that_lets_it_in(run: Run) -> None:
    status, output, complaints = run("key", "cam-7", "--rate", "2.5")
    (_, key), (_, entry) = (line.split() for line in output.splitlines())
    assert (status, complaints) == (0, "")
    assert key.startswith("bm_")
    assert parse_key(entry) == Key("cam-7", hash_key(key), 2.5)


def test_a_key_that_is_there_already_gets_an_entry_and_is_not_repeated(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("swordfish\nmore\n"))
    assert run("key", "cam", "--stdin") == (0, f"entry  cam:{hash_key('swordfish')}\n", "")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("two words",), "expected name:hash"),
        (("cam:era",), "expected name:hash"),
        (("cam", "--rate", "-1"), "the rate has to be"),
        (("cam", "--stdin"), "standard input has no key"),
    ],
)
def test_what_cannot_be_a_key_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], complaint: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    status, output, complaints = run("key", *words)
    assert (status, output) == (2, "")
    assert complaint in complaints
