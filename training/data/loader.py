"""Batches from worker processes; if a worker dies, the error names the file it was reading."""

import os
import re
import signal
import threading
from collections.abc import Generator, Iterator, Sequence

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from training.data.batch import Batch, join_batches
from training.data.training_set import TrainingSet


class WorkerDied(RuntimeError):
    """A worker process ended: the system killed it, mostly for lack of memory, or it crashed."""


def load_batches(
    pictures: TrainingSet, groups: Sequence[list[int]], *, workers: int, pinned: bool = False
) -> Generator[Batch, None, None]:
    """One batch for each group of places in the pictures' order; pinned: in page-locked memory, for a GPU.

    Raises PictureFailed or WorkerDied; both name the file.
    """
    current = torch.full((max(1, workers), 2), -1, dtype=torch.int64)
    current.share_memory_()  # type: ignore[no-untyped-call]
    loader: DataLoader[Batch] = DataLoader(
        TrackedPictures(pictures, current),
        batch_sampler=groups,
        collate_fn=join_batches,
        num_workers=workers,
        worker_init_fn=_use_one_thread,
        pin_memory=pinned,
    )
    try:
        yield from _iterate(loader)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise WorkerDied(_name_files(pictures, current, str(error))) from error


def _iterate(loader: "DataLoader[Batch]") -> Iterator[Batch]:
    """The loader's batches, without torch's signal handler for dead workers.

    That handler raises its error in the middle of any computation. Without it, the next request for a batch
    raises the error some seconds later.
    """
    handler = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, handler)
    return batches


class TrackedPictures(Dataset[Batch]):
    """The pictures; each worker records the one that it is reading.

    current: int64 [workers, 2], shared memory: the worker's process id and the place of its picture.
    """

    def __init__(self, pictures: TrainingSet, current: Tensor) -> None:
        self.pictures = pictures
        self.current = current

    def __getitem__(self, place: int) -> Batch:
        if (worker := get_worker_info()) is not None:
            self.current[worker.id] = torch.tensor([os.getpid(), place])
        return self.pictures[place]


def _name_files(pictures: TrainingSet, current: Tensor, message: str) -> str:
    """The message, with the file of the dead worker, or the files of all workers if it names none."""
    dead = [int(number) for number in re.findall(r"\d+", message)]
    reading = [(process, place) for process, place in current.tolist() if place >= 0]
    chosen = [place for process, place in reading if process in dead] or [place for _, place in reading]
    paths = ", ".join(str(pictures.find_path(place)) for place in chosen)
    return f"{message.strip()} It was reading {paths}. If memory is short, use fewer workers."


def _use_one_thread(worker: int) -> None:
    cv2.setNumThreads(0)  # the other cores are for the network
