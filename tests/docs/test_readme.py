"""The README is run, not only read.

Blocks marked `sh` are executed beside a running server; the `json` block must have the shape of the real
answer. `test_client_package` runs the Python examples. Commands that
train, load-test or serve are checked against `--help`.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.running import PATIENCE_S, RunningServer
from training.commands import app as training_app

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = "service/rest/page/samples/astronaut.jpg"
LONG = tuple(
    f".venv/bin/python -m {name}" for name in ("training", "loadtest", "service camera", "service.cluster")
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced code block."""

    language: str
    text: str

    def commands(self) -> list[str]:
        joined = self.text.replace("\\\n", " ")
        return [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def read_blocks(path: Path) -> list[Block]:
    found = re.findall(r"^```(\w+)\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(language, text) for language, text in found]


README = read_blocks(ROOT / "README.md")
COMMANDS = [command for block in README if block.language == "sh" for command in block.commands()]


def shape_of(value: object) -> object:
    """The keys of nested objects, with lists judged by their first element."""
    if isinstance(value, dict):
        return {key: shape_of(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape_of(value[0])] if value else []
    return type(value).__name__ if isinstance(value, str) else "number"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the sample photo where the README's commands look for it."""
    (tmp_path / SAMPLE).parent.mkdir(parents=True)
    shutil.copy(ROOT / SAMPLE, tmp_path / SAMPLE)
    return tmp_path


def run_shell(command: str, server: RunningServer, folder: Path) -> str:
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-euc", server.with_ports(command.replace(".venv/bin/python", sys.executable))],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make ")])
def test_make_targets_exist(command: str) -> None:
    subprocess.run(
        ["make", "--dry-run", *shlex.split(command)[1:]], cwd=ROOT, check=True, capture_output=True
    )


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith(LONG)])
def test_long_commands_name_real_subcommands_and_options(command: str) -> None:
    words = shlex.split(command)
    text = read_training_help(words[3]) if words[2] == "training" else read_help(words[1:4])
    for option in (word for word in words if word.startswith("--")):
        assert re.search(rf"{option}\b", text), f"{option} is not an option of: {command}"


def read_help(words: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, *words, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def read_training_help(command: str) -> str:
    """The help of a command of `training`, in this process: torch takes seconds to import."""
    done = CliRunner().invoke(training_app, [command, "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith((*LONG, "make ", "git "))])
def test_quick_commands_run(command: str, server: RunningServer, folder: Path) -> None:
    run_shell(command, server, folder)


def test_the_first_answer_looks_as_shown(server: RunningServer, folder: Path) -> None:
    (shown,) = [json.loads(block.text) for block in README if block.language == "json"]
    command = next(command for command in COMMANDS if command.startswith("curl"))
    answer = json.loads(run_shell(command, server, folder))
    assert answer["instances"], "the sample photo must give at least one instance"
    assert shape_of(answer) == shape_of(shown)


def test_extras_that_are_named_are_there_to_install() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    _, _, section = (ROOT / "README.md").read_text().partition("### Extras\n")
    named = re.findall(r"`(\w+)`", section.partition("\n## ")[0])
    assert {"mqtt", "otel"} <= set(named) <= set(extras)


def test_every_relative_link_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", (ROOT / "README.md").read_text())
    missing = [link for link in links if not (ROOT / link).exists()]
    assert links
    assert not missing


def test_the_structure_of_training_names_each_module_once() -> None:
    _, _, section = (ROOT / "training/README.md").read_text().partition("## Structure\n")
    places = [
        row.split("|")[1] for row in section.partition("\n## ")[0].splitlines() if row.startswith("| `")
    ]
    named = [name for place in places for name in re.findall(r"`([^`]+)`", place)]
    folders = {"networks/", "recipes/", "evaluation/", "export/"}
    modules = [
        str(path.relative_to(ROOT / "training").with_suffix(""))
        for path in [*ROOT.glob("training/*.py"), *ROOT.glob("training/data/*.py")]
        if not path.stem.startswith("__")
    ]
    assert sorted(named) == sorted([*modules, *folders])
