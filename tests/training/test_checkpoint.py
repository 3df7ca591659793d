"""Checkpoints are complete or absent, and old ones can be read."""

import hashlib
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.running import PATIENCE_S
from training.checkpoint import (
    CheckpointNotWritten,
    CheckpointRefused,
    load_network,
    read_checkpoint,
    write_checkpoint,
)
from training.data.annotations import read_collection
from training.networks.blitzmask import Architecture, BlitzMask
from training.recipe import Recipe, Stage
from training.session import make_trainer
from training.validation import EarlyStopping, Validation

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
    with pytest.raises(CheckpointNotWritten, match=r"no space left.*The last checkpoint is unchanged"):
        write_checkpoint({"weights": torch.zeros(1000), "step": DiskFull()}, path)
    assert read_checkpoint(path)["step"] == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("architecture", [{"network": "vgg"}, {"classes": 2, "attention": True}])
def test_a_checkpoint_of_a_newer_network_is_refused(tmp_path: Path, architecture: dict[str, Any]) -> None:
    path = tmp_path / "checkpoint.pt"
    write_checkpoint({"architecture": architecture, "labels": [], "average": {}}, path)
    with pytest.raises(CheckpointRefused, match="a network that this version lacks"):
        load_network(path)


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
    output, errors = start_writer(path, limit=100_000).communicate(timeout=PATIENCE_S)
    assert output.split() == ["1"]
    assert "CheckpointNotWritten" in errors
    assert "The last checkpoint is unchanged" in errors
    check_whole(path, least=1)
    assert list(tmp_path.iterdir()) == [path]


OLD_LABELS = [{"category_id": 7, "name": "disc"}, {"category_id": 3, "name": "square"}]
OLD_WEIGHTS = "072040fa38c1d7f17192967405811b732d97107f906f4e949d3c4942e8e7f1f8"  # of the 422 names, sorted


def write_old_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """A checkpoint as commit b1cfcaa wrote it, in the third epoch; returns its averaged weights."""
    architecture: dict[str, Any] = {
        "classes": 2,
        "backbone": "mobilenet_v2",
        "width": 0.25,
        "neck_channels": 8,
        "coefficients": 32,
        "masks": True,
    }
    network = BlitzMask(Architecture(**architecture)).state_dict()
    average = {name: value + 1 for name, value in network.items()}
    weight = network["neck.last.1.conv.weight"]
    moments = {"step": torch.tensor(5.0), "exp_avg": weight * 2, "exp_avg_sq": weight.square()}
    content = {
        "architecture": architecture,
        "labels": OLD_LABELS,
        "network": network,
        "average": average,
        "optimizer": {"neck.last.1.conv.weight": moments},
        "step": 5,
        "seconds": 12.5,
        "course": {},
        "losses": [3.5],
        "retreat": {},
        "watch": (0.25, 1, 0),
        "best": {},
    }
    write_checkpoint(content, path)
    return average


def test_the_weights_have_the_names_that_old_checkpoints_have() -> None:
    with torch.device("meta"):
        names = sorted(BlitzMask(Architecture(classes=2)).state_dict())
    assert hashlib.sha256("\n".join(names).encode()).hexdigest() == OLD_WEIGHTS


def test_an_old_checkpoint_is_exported(tmp_path: Path) -> None:
    average = write_old_checkpoint(tmp_path / "checkpoint.pt")
    network, labels = load_network(tmp_path / "checkpoint.pt")
    assert [label.name for label in labels] == ["disc", "square"]
    assert all(value.equal(average[name]) for name, value in network.state_dict().items())


def test_an_old_checkpoint_is_resumed(tiny_set: Path, tmp_path: Path) -> None:
    average = write_old_checkpoint(tmp_path / "checkpoint.pt")
    recipe = Recipe(width=0.25, neck_channels=8, batch_size=1, epochs=4, workers=0, bfloat16=False)
    recipe = replace(recipe, stages=(Stage(1.0, side=64),), validation=Validation())
    collection = read_collection(tiny_set / "instances_train.json", tiny_set / "images")
    trainer = make_trainer(recipe, collection, tmp_path)
    name = "neck.last.1.conv.weight"
    assert (trainer.step, trainer.seconds, trainer.losses) == (5, 12.5, [3.5])
    assert int(trainer.average.n_averaged) == 5
    assert trainer.averaged_network.state_dict()[name].equal(average[name])
    assert trainer.optimizer.state[dict(trainer.network.named_parameters())[name]]["step"] == 5
    assert trainer.early_stopping == EarlyStopping(best=0.25, epoch=1, stale=0)
    reports: list[int] = []
    trainer.run(lambda report: reports.append(report.step))
    assert reports == [6, 7, 8]
