"""The comparison of a model's files, and its record on the card."""

import json
import platform
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from service.inference.card import read_card
from service.types import BackendInfo, Heads, Pixels, Size
from training.commands import app
from training.export.parity import (
    ParityCheck,
    largest_differences,
    name_processor,
    read_canvases,
    time_frames,
)


class SlowBackend:
    """Takes 100 ms for every third frame and 20 ms for the others, by a clock that only it moves."""

    def __init__(self) -> None:
        self.frames: list[Pixels] = []
        self.now = 0.0

    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        self.frames.append(pixels)
        self.now += 0.1 if len(self.frames) % 3 == 0 else 0.02
        return {}

    def describe(self, *, crowded: bool = False) -> BackendInfo:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def test_differences_are_the_largest_by_head() -> None:
    heads = {"size": np.array([1, 5, 2], np.float32), "heatmap": np.zeros(2, np.float32)}
    reference = {"size": np.array([1, 2, 4], np.float32), "heatmap": np.zeros(2, np.float32)}
    assert largest_differences(heads, reference) == {"size": 3.0, "heatmap": 0.0}


def test_the_time_is_the_median_of_single_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = SlowBackend()
    monkeypatch.setattr(time, "perf_counter", lambda: backend.now)
    canvases = np.zeros((2, 4, 4, 3), np.uint8)
    assert time_frames(backend, canvases, count=9) == pytest.approx(20)
    assert len(backend.frames) == 10
    assert all(frame.shape == (1, 4, 4, 3) for frame in backend.frames)


CPUINFO = """processor	: 0
vendor_id	: AuthenticAMD
cpu family	: 25
model		: 17
model name	: AMD EPYC

processor	: 1
power management:
"""


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (CPUINFO, "AMD EPYC (family 25 model 17)"),
        ("processor\t: 0\nBogoMIPS\t: 108.00\nModel\t\t: Raspberry Pi 5\n", "Raspberry Pi 5"),
        ("processor\t: 0\n", platform.machine()),
    ],
)
def test_the_processor_is_named_as_precisely_as_linux_does(tmp_path: Path, content: str, name: str) -> None:
    (tmp_path / "cpuinfo").write_text(content)
    assert name_processor(tmp_path / "cpuinfo") == name


def test_the_processor_has_a_name_everywhere(tmp_path: Path) -> None:
    assert name_processor(tmp_path / "nowhere") == platform.machine()
    assert name_processor()


def test_the_command_for_the_card_is_whole(tmp_path: Path) -> None:
    check = ParityCheck(Path("my model"), Path("data"), categories="1-3", threads=2, pictures=4)
    options = "--data data --split val --categories 1-3 --threads 2 --pictures 4"
    assert check.command() == f"python -m training parity 'my model' {options}"


def test_canvases_are_letterboxed(trained: Path) -> None:
    canvases = read_canvases(sorted((trained / "data" / "images").iterdir()), Size(64, 96))
    assert canvases.shape == (2, 64, 96, 3)
    assert (canvases[1, :, 60:] == 127).all()


@pytest.mark.timeout(900)
def test_the_command_prints_writes_and_records_a_row_per_file(trained: Path, tmp_path: Path) -> None:
    model, figures = shutil.copytree(trained / "model", tmp_path / "tiny"), tmp_path / "rows.json"
    (model / "README.md").write_text("# tiny\n<!-- files --><!-- /files -->\n")
    data = ("--data", trained / "data", "--split", "train")
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
        assert file.accuracy.mask_ap == pytest.approx(row["evaluation"]["mask_ap"], abs=1e-3)
        assert file.latency is not None
        assert file.latency.milliseconds == pytest.approx(row["milliseconds"], abs=0.01)
        assert f"| {file.runtime} | {file.precision} |" in (model / "README.md").read_text()
    threshold = read_card(model).decoder.score_threshold
    assert threshold == pytest.approx(rows[0]["evaluation"]["threshold"], abs=0.005)
    assert not list(model.glob("*.draft"))
