"""Processes that train one network, each on its share of every batch (by `torchrun`, or one alone)."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

PATIENCE = timedelta(days=2)  # a run that is stopped for a while by a signal goes on afterwards


@contextmanager
def joined_cohort() -> Iterator[None]:
    """Joins the processes that torchrun started; alone, does nothing."""
    if not dist.is_torchelastic_launched():
        yield
        return
    dist.init_process_group(timeout=PATIENCE)  # gloo between CPUs, NCCL between GPUs
    try:
        yield
    finally:
        dist.destroy_process_group()


def name_launcher() -> str:
    """What this process was started with: `torchrun` and its number of processes, or `python`."""
    if not dist.is_torchelastic_launched():
        return "python"
    return f"torchrun --nproc-per-node {os.environ['LOCAL_WORLD_SIZE']}"


def own_rank() -> int:
    """This process's place among them; the first, 0, is the one that writes and tells."""
    return dist.get_rank() if dist.is_initialized() else 0


def count_ranks() -> int:
    """How many processes train the network."""
    return dist.get_world_size() if dist.is_initialized() else 1


def own_device() -> torch.device:
    """A GPU to each process where there are some, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", own_rank() % torch.cuda.device_count())


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replaces every gradient by its mean over the processes, in one exchange."""
    if count_ranks() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    joined = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(joined)
    joined /= count_ranks()
    pieces = torch.split(joined, [gradient.numel() for gradient in gradients])
    for gradient, piece in zip(gradients, pieces, strict=True):
        gradient.copy_(piece.view_as(gradient))


def average_values(values: Tensor) -> list[float]:
    """The mean of each value over the processes; values: float32 [N]."""
    if count_ranks() == 1:
        return values.tolist()
    dist.all_reduce(values)
    return (values / count_ranks()).tolist()


def agree_on(value: float) -> float:
    """The first process' value."""
    if count_ranks() == 1:
        return value
    shared = torch.tensor([value], dtype=torch.float64)
    dist.broadcast(shared, src=0)
    return float(shared)
