"""The pictures of a collection with random augmentation, their order in an epoch, and batches of them."""

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from service.types import Pixels, Size
from training.data.annotations import Collection, Picture
from training.data.augment import (
    Augmentation,
    Scene,
    View,
    change_colours,
    draw_view,
    fit_view,
    paste_objects,
)
from training.data.batch import Batch, join_batches
from training.data.groundtruth import TargetRules, draw_targets
from training.data.pictures import PictureFailed, read_image


class TrainingSet(Dataset[Batch]):
    """Batches of one picture; without augmentation they are letterboxed as by the service.

    order: the pictures' numbers in the order in which they are shown; each once if it is None.
    The view depends only on the seed and the place in the order. A resumed run therefore sees the same views
    as an uninterrupted one, and a repeated picture appears in different views.
    """

    def __init__(
        self,
        collection: Collection,
        *,
        canvas: Size,
        rules: TargetRules,
        augmentation: Augmentation | None,
        seed: tuple[int, ...],
        order: Sequence[int] | None = None,
    ) -> None:
        self.collection = collection
        self.canvas = canvas
        self.rules = rules
        self.augmentation = augmentation
        self.seed = seed
        self.order = range(len(collection.pictures)) if order is None else order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, place: int) -> Batch:
        """The picture at a place of the order; raises PictureFailed for any error."""
        try:
            return self._make(place)
        except Exception as error:
            reason = error if isinstance(error, ValueError) else repr(error)
            raise PictureFailed(f"{self.find_path(place)}: {reason}") from error

    def find_path(self, place: int) -> Path:
        return self.collection.pictures[self.order[place]].path

    def _make(self, place: int) -> Batch:
        scene = self._read_scene(place)
        random = np.random.default_rng((*self.seed, place))
        if self.augmentation is None:
            view = fit_view(scene.picture.size, self.canvas)
        else:
            scene, view = self._augment(scene, self.augmentation, random)
        classes = len(self.collection.labels)
        return draw_targets(scene, view, classes=classes, rules=self.rules, random=random)

    def _augment(
        self, scene: Scene, augmentation: Augmentation, random: np.random.Generator
    ) -> tuple[Scene, View]:
        if augmentation.paste and random.random() < augmentation.paste.share:
            donor = self._read_scene(int(random.integers(len(self))))
            scene = paste_objects(scene, donor, augmentation.paste, random)
        view = draw_view(scene.picture.size, self.canvas, augmentation, random)
        return replace(scene, pixels=change_colours(scene.pixels, augmentation, random)), view

    def _read_scene(self, place: int) -> Scene:
        picture = self.collection.pictures[self.order[place]]
        return Scene(picture, read_pixels(picture))


def read_pixels(picture: Picture) -> Pixels:
    """The picture's image; raises PictureFailed also if its size differs from that in the annotations."""
    pixels = read_image(picture.path)
    if pixels.shape[:2] != (picture.size.height, picture.size.width):
        raise PictureFailed(
            f"{picture.path} has the size {pixels.shape[:2]}, but {picture.size} in the annotations"
        )
    return pixels


def repeat_factors(
    pictures: Sequence[Picture], threshold: float, *, mask_share: float | None = None
) -> Tensor:
    """Relative frequencies of the pictures: float64 [N] (repeat factors of LVIS: Gupta et al., 2019, sec.
    4.2).

    A category in a share f of the pictures has the factor max(1, sqrt(threshold / f)), and a picture has the
    largest factor of its categories. mask_share: the factors of the pictures with masks are then scaled, so
    that these pictures are such a share of all that are shown; None: they are not scaled.
    """
    held = [{item.label for item in picture.annotations} for picture in pictures]
    counts = Counter(label for labels in held for label in labels)
    wanted = {label: (threshold * len(pictures) / count) ** 0.5 for label, count in counts.items()}
    factors = [max((wanted[label] for label in labels), default=1.0) for labels in held]
    repeats = torch.tensor(factors, dtype=torch.float64).clamp(min=1.0)
    masked = torch.tensor([any(item.counts for item in picture.annotations) for picture in pictures])
    if mask_share is None or masked.all() or not masked.any():
        return repeats
    scale = mask_share / (1 - mask_share) * repeats[~masked].sum() / repeats[masked].sum()
    return torch.where(masked, repeats * scale, repeats)


def draw_order(repeats: Tensor, generator: torch.Generator) -> Tensor:
    """An epoch's pictures in random order, as many as there are in the set: int64 [N].

    Each picture occurs in proportion to its repeat factor, rounded up or down at random.
    """
    count = len(repeats)
    mixed = torch.randperm(count, generator=generator)
    if (repeats == repeats[0]).all():
        return mixed
    ends = repeats[mixed].cumsum(0)
    marks = (torch.arange(count) + torch.rand(1, generator=generator, dtype=torch.float64)) / count
    drawn = mixed[torch.searchsorted(ends, marks * ends[-1], right=True).clamp(max=count - 1)]
    return drawn[torch.randperm(count, generator=generator)]


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
