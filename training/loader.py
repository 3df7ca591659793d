"""Pictures through worker processes, and which file it was where one of them fails."""

import os
import re
import signal
import threading
from collections.abc import Generator, Iterator, Sequence

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from training.batch import Batch, join_batches
from training.data import TrainingSet


class WorkerDied(RuntimeError):
    """A worker process is gone: killed by the system, for want of memory mostly, or crashed."""


def load_batches(
    pictures: TrainingSet, groups: Sequence[list[int]], *, workers: int, pinned: bool = False
) -> Generator[Batch, None, None]:
    """A batch for each group of picture numbers; pinned: in memory that a GPU can read by itself.

    Raises PictureFailed, or WorkerDied, that name the file.
    """
    desk = torch.full((max(1, workers), 2), -1, dtype=torch.int64)
    desk.share_memory_()  # type: ignore[no-untyped-call]
    loader: DataLoader[Batch] = DataLoader(
        Desk(pictures, desk),
        batch_sampler=groups,
        collate_fn=join_batches,
        num_workers=workers,
        worker_init_fn=_calm_worker,
        pin_memory=pinned,
    )
    try:
        yield from _begin(loader)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise WorkerDied(_name_files(pictures, desk, str(error))) from error


def _begin(loader: "DataLoader[Batch]") -> Iterator[Batch]:
    """The loader at work, without torch's handler of dead children.

    That one raises in the middle of whatever is being computed. Without it, it is who asks for the next batch
    that learns of a dead worker, some seconds later.
    """
    handler = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, handler)
    return batches


class Desk(Dataset[Batch]):
    """The pictures; each worker writes down which one it has in hand.

    desk: int64 [workers, 2], shared: the worker's process id and the picture's number.
    """

    def __init__(self, pictures: TrainingSet, desk: Tensor) -> None:
        self.pictures = pictures
        self.desk = desk

    def __getitem__(self, index: int) -> Batch:
        if (worker := get_worker_info()) is not None:
            self.desk[worker.id] = torch.tensor([os.getpid(), index])
        return self.pictures[index]


def _name_files(pictures: TrainingSet, desk: Tensor, message: str) -> str:
    """The message with the file that the dead worker had in hand, or all workers' where it is not said."""
    dead = [int(number) for number in re.findall(r"\d+", message)]
    held = [(process, index) for process, index in desk.tolist() if index >= 0]
    chosen = [index for process, index in held if process in dead] or [index for _, index in held]
    paths = ", ".join(str(pictures.find_path(index)) for index in chosen)
    return f"{message.strip()} It had in hand: {paths}. Is there too little memory? Fewer workers need less."


def _calm_worker(worker: int) -> None:
    cv2.setNumThreads(0)  # the network has the cores
