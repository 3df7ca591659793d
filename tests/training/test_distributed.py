"""Exchange between the processes of a run."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training.distributed import (
    average_gradients,
    broadcast_value,
    get_rank,
    get_world_size,
    name_launcher,
    process_group,
)

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
import torch
from training.distributed import average_gradients, average_values, broadcast_value
from training.distributed import get_rank, get_world_size, name_launcher, process_group

with process_group():
    weights = [torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(3))]
    weights[0].grad = torch.full((2, 2), 1.0 + get_rank())
    average_gradients(weights)
    gradients = [weights[0].grad.tolist(), weights[1].grad]
    shared = [broadcast_value(7.0 - get_rank()), *average_values(torch.tensor([2.0 * get_rank()]))]
    line = f"{get_rank()}/{get_world_size()} {gradients} {shared} {name_launcher()}"
    sys.stdout.write(line + chr(10))
"""


def test_alone_nothing_is_exchanged() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.ones(2)
    with process_group():
        average_gradients([weight])
        assert (get_rank(), get_world_size(), broadcast_value(3.5)) == (0, 1, 3.5)
    assert weight.grad.tolist() == [1, 1]
    assert name_launcher() == "python"


@pytest.mark.timeout(600)  # three Pythons import torch, on a busy machine slowly
def test_two_processes_share_gradients_and_the_clock(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(tmp_path / "program.py")],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [
        "0/2 [[[1.5, 1.5], [1.5, 1.5]], None] [7.0, 1.0] torchrun --nproc-per-node 2",
        "1/2 [[[1.5, 1.5], [1.5, 1.5]], None] [7.0, 1.0] torchrun --nproc-per-node 2",
    ]
