"""The tutorial is run, command by command, on the set that it generates."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import typer
from typer.testing import CliRunner

from service.inference.card import read_card
from training.commands import app
from training.run_log import read_log

ROOT = Path(__file__).parents[2]
README = (ROOT / "training" / "README.md").read_text()


def read_commands(language: str) -> list[str]:
    """Lines of the README's blocks of that language, continued ones joined, comments left out."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [re.sub(r"\s+# .*", "", line) for line in lines if line.strip()]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which somebody has followed the tutorial."""
    folder = tmp_path_factory.mktemp("tutorial")
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    for command in read_commands("sh"):
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_run_ends_with_a_report(desk: Path) -> None:
    report = (desk / "trial" / "report.md").read_text()
    assert "Trained on 12 pictures" in report
    assert "evaluated on 3 (val split)" in report
    assert re.search(r"^\| \*\*mean\*\* \| \d+ \| \d\.\d{3} \|", report, re.MULTILINE)
    for name in re.findall(r"!\[.*?\]\((.*?)\)", report):
        assert cv2.imread(str(desk / "trial" / name)) is not None, name
    assert "curves.png" in report
    assert "worst/1-" in report


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_run_is_logged(desk: Path) -> None:
    assert "mask_ap" in read_log(desk / "trial" / "log.jsonl")[-1]
    assert list((desk / "trial" / "tensorboard").glob("events.*"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_service_answers_with_the_model(desk: Path) -> None:
    card = read_card(desk / "trial" / "models" / "shapes")
    assert [label.name for label in card.labels] == ["disc", "square", "triangle"]
    assert card.files[0].accuracy is not None
    answer = json.loads((desk / "answer.json").read_text())
    assert answer["model"] == "shapes"
    assert (desk / "found.png").exists()


TRAINING = [text for text in read_commands("bash") if "-m training" in text]


@pytest.mark.parametrize("command", TRAINING, ids=range(len(TRAINING)))
def test_commands_that_take_hours_are_spelt_right(command: str) -> None:
    words = shlex.split(command.partition("-m training")[2])
    group = typer.main.get_command(app)
    found = CliRunner().invoke(app, [words[0], "--help"], env={"COLUMNS": "200"})
    assert found.exit_code == 0, found.output
    options = {name for item in group.commands[words[0]].params for name in item.opts}  # type: ignore[attr-defined]
    assert {word for word in words if word.startswith("--")} <= options


def test_fields_named_in_the_text_are_there_to_be_set() -> None:
    settings = [
        text for text in re.findall(r"--set ('[^']+'|[\w.=]+)", README) if "=" in text and "VALUE" not in text
    ]
    assert len(settings) >= 8
    for text in settings:
        arguments = ["train", "--data", str(ROOT / "service"), "--set", text.strip("'"), "--out", "/nowhere"]
        found = CliRunner().invoke(app, arguments)
        assert "none of these exists" in found.output, found.output  # only the data is missing
