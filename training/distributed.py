"""Training with several processes, each on its share of every batch (`torchrun`), or with one."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

TIMEOUT = timedelta(days=2)  # a run that is suspended by a signal continues afterwards


@contextmanager
def process_group() -> Iterator[None]:
    """Joins the processes that torchrun started; does nothing for a single process."""
    if not dist.is_torchelastic_launched():
        yield
        return
    dist.init_process_group(timeout=TIMEOUT)  # gloo between CPUs, NCCL between GPUs
    try:
        yield
    finally:
        dist.destroy_process_group()


def name_launcher() -> str:
    """The program that started this process: `torchrun` with its number of processes, or `python`."""
    if not dist.is_torchelastic_launched():
        return "python"
    return f"torchrun --nproc-per-node {os.environ['LOCAL_WORLD_SIZE']}"


def get_rank() -> int:
    """The number of this process; process 0 writes files and reports progress."""
    return dist.get_rank() if dist.is_initialized() else 0


def get_world_size() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def choose_device() -> torch.device:
    """One GPU for each process if there are any, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", get_rank() % torch.cuda.device_count())


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replaces every gradient by its mean over the processes, in one exchange."""
    if get_world_size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    joined = parameters_to_vector(gradients)
    dist.all_reduce(joined)
    vector_to_parameters(joined / get_world_size(), gradients)


def average_values(values: Tensor) -> list[float]:
    """The mean of each value over the processes; values: float32 [N]."""
    if get_world_size() > 1:
        dist.all_reduce(values)
    return (values / get_world_size()).tolist()


def broadcast_value(value: float) -> float:
    """The value of process 0."""
    if get_world_size() == 1:
        return value
    shared = torch.tensor([value], dtype=torch.float64)
    dist.broadcast(shared, src=0)
    return float(shared)
