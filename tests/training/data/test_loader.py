"""Errors in worker processes name the file."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from service.types import Size
from training.data.annotations import read_collection
from training.data.batch import Batch
from training.data.groundtruth import TargetRules
from training.data.loader import WorkerDied, load_batches
from training.data.pictures import PictureFailed
from training.data.training_set import TrainingSet


def open_set(folder: Path) -> TrainingSet:
    collection = read_collection(folder / "instances_train.json", folder / "images")
    return TrainingSet(collection, canvas=Size(64, 64), rules=TargetRules(), augmentation=None, seed=(0,))


class Deadly(TrainingSet):
    """A set whose second picture kills the process that reads it, like the system without free memory."""

    def __getitem__(self, index: int) -> Batch:
        if index == 1:
            time.sleep(0.5)  # until the first is with who asked for it
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def deadly(folder: Path) -> Deadly:
    pictures = open_set(folder)
    return Deadly(
        pictures.collection, canvas=pictures.canvas, rules=pictures.rules, augmentation=None, seed=(0,)
    )


def shapes(batches: Iterator[Batch]) -> list[tuple[int, ...]]:
    return [tuple(batch.pixels.shape) for batch in batches]


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_the_order_of_their_groups(tiny_set: Path, workers: int) -> None:
    found = shapes(load_batches(open_set(tiny_set), [[0, 1], [1]], workers=workers))
    assert found == [(2, 64, 64, 3), (1, 64, 64, 3)]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_gone_since_the_start_is_named(tiny_set: Path, workers: int) -> None:
    pictures = open_set(tiny_set)
    (tiny_set / "images" / "1.png").unlink()
    with pytest.raises(PictureFailed, match=r"1\.png is missing"):
        shapes(load_batches(pictures, [[1], [0]], workers=workers))


def test_an_error_of_any_kind_names_the_picture(tiny_set: Path) -> None:
    pictures = open_set(tiny_set)
    pictures.rules = None  # type: ignore[assignment]
    with pytest.raises(PictureFailed, match=r"1\.png: AttributeError"):
        pictures[0]


def test_a_dead_worker_shows_when_the_next_batch_is_requested_and_not_before(tiny_set: Path) -> None:
    """An error in the middle of a training step would be hard to understand."""
    others = multiprocessing.active_children()  # of earlier tests
    batches = load_batches(deadly(tiny_set), [[0], [1]], workers=1)
    next(batches)
    started = (child for child in multiprocessing.active_children() if child not in others)
    (worker,) = (psutil.Process(child.pid) for child in started)
    deadline = time.monotonic() + 60
    while worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)  # whoever handles the death of children has done so by then
    with pytest.raises(WorkerDied, match=r"was reading \S*2\.png"):
        next(batches)


def test_a_worker_killed_by_the_system_was_reading_this_file(tiny_set: Path) -> None:
    with pytest.raises(WorkerDied, match=r"was reading \S*2\.png\. If memory is short"):
        shapes(load_batches(deadly(tiny_set), [[0], [1]], workers=1))
