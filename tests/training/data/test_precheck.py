"""Mistakes in a data set are told before torch is imported, and good data are read once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from training.__main__ import check_data
from training.data import datasets
from training.data.datasets import read_datasets

ROOT = Path(__file__).parents[3]
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from training.__main__ import main; main()"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("train --data SET/empty", "none of these exists"),
        ("train --data=SET --bad-data refuse", "1 x its file is missing"),
        ("evaluate models/x --data SET", "none of these exists"),
        ("evaluate models/x --data SET --split train --bad-data=refuse", "1 x its file is missing"),
    ],
)
def test_a_mistake_in_the_data_is_told_without_torch(tiny_set: Path, command: str, reason: str) -> None:
    (tiny_set / "empty").mkdir()
    (tiny_set / "images" / "1.png").unlink()
    words = command.replace("SET", str(tiny_set)).split()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "",
        "train",
        "train --help --data SET",
        "train --data SET/nowhere",
        "shapes new",
        "train --data SET --bad-data x",
    ],
)
def test_other_mistakes_are_left_to_the_command(tiny_set: Path, command: str) -> None:
    (tiny_set / "instances_train.json").write_text("{")
    check_data(command.replace("SET", str(tiny_set)).split())


def test_checked_data_are_not_read_again(tiny_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_data(["train", "--data", str(tiny_set)])
    with monkeypatch.context() as patch:
        patch.setattr(datasets, "read_format", lambda annotations, images: pytest.fail("read again"))
        assert len(read_datasets(tiny_set, "skip").training.pictures) == 1
    (tiny_set / "instances_train.json").write_text(
        json.dumps(json.loads((tiny_set / "instances_train.json").read_text()) | {"annotations": []})
    )
    with pytest.raises(ValueError, match="no objects"):
        read_datasets(tiny_set, "skip")
