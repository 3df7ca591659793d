"""Checkpoints are whole or not there."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from training.checkpoint import CheckpointNotWritten, read_checkpoint, write_checkpoint

ROOT = Path(__file__).parents[2]
PROGRAM = """
import resource, signal, sys
from itertools import count
from pathlib import Path
import torch
from training.checkpoint import write_checkpoint

limit = int(sys.argv[2])
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for step in count(1):
    size = 1000 if step == 1 else 300_000
    write_checkpoint({"step": step, "weights": torch.full((size,), float(step))}, Path(sys.argv[1]))
    print(step, flush=True)
"""


def start_writer(path: Path, *, limit: int = 0) -> subprocess.Popen[str]:
    """A process that writes one checkpoint after the other; limit: bytes that fit on its "disk"."""
    command = [sys.executable, "-c", PROGRAM, str(path), str(limit)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"OMP_NUM_THREADS": "1"},
    )


def check_whole(path: Path, *, least: int) -> None:
    content = read_checkpoint(path)
    assert content["step"] >= least
    assert (content["weights"] == content["step"]).all()


class DiskFull:
    """Cannot be written."""

    def __reduce__(self) -> str:
        raise OSError("no space left on device")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "checkpoint.pt"
    write_checkpoint({"weights": torch.arange(3), "step": 7, "labels": ["a"]}, path)
    content = read_checkpoint(path)
    assert content["weights"].tolist() == [0, 1, 2]
    assert (content["step"], content["labels"]) == (7, ["a"])


def test_a_failed_write_leaves_the_last_good_checkpoint_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    write_checkpoint({"step": 1}, path)
    with pytest.raises(CheckpointNotWritten, match=r"no space left.*the last one is as it was"):
        write_checkpoint({"weights": torch.zeros(1000), "step": DiskFull()}, path)
    assert read_checkpoint(path)["step"] == 1
    assert list(tmp_path.iterdir()) == [path]


def test_the_draft_of_a_killed_write_is_not_taken_for_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    write_checkpoint({"step": 1}, path)
    path.with_suffix(".draft").write_bytes(path.read_bytes()[:100])
    assert read_checkpoint(path)["step"] == 1
    write_checkpoint({"step": 2}, path)
    assert read_checkpoint(path)["step"] == 2
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_at_any_moment_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    writer = start_writer(path)
    try:
        assert writer.stdout is not None
        written = int(writer.stdout.readline())
        for moment in range(12):  # while it writes: what is there is whole at every look
            time.sleep(0.003 * moment)
            check_whole(path, least=written)
        written = int(writer.stdout.readline())
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    check_whole(path, least=written)
    write_checkpoint({"step": 0}, path)
    assert read_checkpoint(path)["step"] == 0


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    output, errors = start_writer(path, limit=100_000).communicate(timeout=120)
    assert output.split() == ["1"]
    assert "CheckpointNotWritten" in errors
    assert "the last one is as it was" in errors
    check_whole(path, least=1)
    assert list(tmp_path.iterdir()) == [path]
