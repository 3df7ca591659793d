"""Pictures as batches, their order, and errors in worker processes, which name the file."""

import multiprocessing
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import psutil
import pytest
import torch

from service.types import Size
from tests.running import PATIENCE_S
from training.data.annotations import Annotation, Picture, read_collection
from training.data.augment import Augmentation, CopyPaste
from training.data.batch import Batch
from training.data.groundtruth import TargetRules
from training.data.pictures import PictureFailed, read_image
from training.data.training_set import TrainingSet, WorkerDied, draw_order, load_batches, repeat_factors


def open_set(folder: Path, *, augmentation: Augmentation | None, epoch: int = 0) -> TrainingSet:
    collection = read_collection(folder / "instances_train.json", folder / "images")
    return TrainingSet(
        collection,
        canvas=Size(96, 96),
        rules=TargetRules(),
        augmentation=augmentation,
        seed=(5, epoch),
    )


def test_every_picture_comes_with_its_objects(tiny_set: Path) -> None:
    pictures = open_set(tiny_set, augmentation=None)
    assert len(pictures) == 2
    for index in range(2):
        batch = pictures[index]
        assert batch.pixels.shape == (1, 96, 96, 3)
        assert batch.heatmap.shape == (1, 24, 24, 2)
        assert batch.label.tolist() == [0, 1]
        assert batch.masked.all()
        assert (batch.mask.flatten(1).sum(dim=1) > 10).all()


def test_the_mask_lies_on_the_shape(tiny_set: Path) -> None:
    """The disc is red, the square blue, in RGB and where their masks are."""
    batch = open_set(tiny_set, augmentation=None)[0]
    shrunk = cv2.resize(batch.pixels[0].numpy(), (24, 24), interpolation=cv2.INTER_AREA)
    red, blue = (shrunk[mask.numpy() > 0].mean(axis=0) for mask in batch.mask)
    assert red[0] > 190
    assert red[2] < 80
    assert blue[2] > 200
    assert blue[0] < 90


def test_views_are_repeated_by_seed_and_change_with_the_epoch(tiny_set: Path) -> None:
    first, again, later = (
        open_set(tiny_set, augmentation=Augmentation(), epoch=epoch)[0] for epoch in (0, 0, 1)
    )
    assert first.pixels.equal(again.pixels)
    assert first.heatmap.equal(again.heatmap)
    assert not first.pixels.equal(later.pixels)


def test_a_picture_that_is_shown_twice_is_seen_in_two_views(tiny_set: Path) -> None:
    pictures = TrainingSet(
        open_set(tiny_set, augmentation=None).collection,
        canvas=Size(96, 96),
        rules=TargetRules(),
        augmentation=Augmentation(),
        seed=(3,),
        order=[1, 0, 1],
    )
    assert len(pictures) == 3
    assert pictures.find_path(2).name == pictures.find_path(0).name == "2.png"
    assert not pictures[0].pixels.equal(pictures[2].pixels)
    assert pictures[2].pixels.equal(pictures[2].pixels)


def test_pasting_adds_objects(tiny_set: Path) -> None:
    rules = CopyPaste(share=1.0, scale=(0.5, 0.6))
    counts = [
        len(open_set(tiny_set, augmentation=Augmentation(scale=(1, 1), paste=rules), epoch=epoch)[0].label)
        for epoch in range(8)
    ]
    assert max(counts) > 2


def test_pasting_is_repeated_by_seed(tiny_set: Path) -> None:
    augmentation = Augmentation(paste=CopyPaste(share=1.0))
    first, again = (open_set(tiny_set, augmentation=augmentation)[0] for _ in range(2))
    assert first.pixels.equal(again.pixels)
    assert first.mask.equal(again.mask)


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_an_unreadable_image_is_named(tiny_set: Path, content: bytes) -> None:
    opened = open_set(tiny_set, augmentation=None)
    (tiny_set / "images" / "2.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"2\.png is missing or is not an image"):
        opened[1]


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.jpg is missing"):
        read_image(tmp_path / "nowhere.jpg")


def test_an_image_of_another_size_than_its_annotations_say_is_refused(tiny_set: Path) -> None:
    opened = open_set(tiny_set, augmentation=None)
    shutil.copy(tiny_set / "images" / "2.png", tiny_set / "images" / "1.png")
    with pytest.raises(ValueError, match=r"1\.png has the size \(150, 100\)"):
        opened[0]


def picture(*labels: int, counts: bytes | None = None) -> Picture:
    objects = tuple(Annotation(label, (0, 0, 9, 9), counts=counts, ignored=False) for label in labels)
    return Picture(Path("x.png"), Size(10, 10), objects, unlabelled=frozenset())


def test_a_picture_is_repeated_for_the_rarest_of_its_categories() -> None:
    pictures = [picture(0, 0)] * 6 + [picture(0, 1)] * 2 + [picture(2), picture()]
    # 0 is in 8 of 10 pictures, 1 in 2, 2 in one
    expected = [1.0] * 6 + [(0.4 / 0.2) ** 0.5] * 2 + [(0.4 / 0.1) ** 0.5, 1.0]
    assert repeat_factors(pictures, threshold=0.4).tolist() == pytest.approx(expected)


def test_pictures_with_masks_are_the_share_that_is_set() -> None:
    pictures = [picture(0, counts=b"x")] * 2 + [picture(0)] * 8
    assert repeat_factors(pictures, 0.0, mask_share=0.5).tolist() == [4, 4, *[1] * 8]
    assert repeat_factors(pictures[2:], 0.0, mask_share=0.5).tolist() == [1] * 8


def test_without_a_threshold_every_picture_comes_once_in_another_order_each_time() -> None:
    repeats = repeat_factors([picture(number % 3) for number in range(500)], threshold=0.0)
    generator = torch.Generator().manual_seed(0)
    first, second = (draw_order(repeats, generator).tolist() for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(500))
    assert first != second


@pytest.mark.parametrize("seed", range(5))
def test_pictures_come_as_often_as_their_repeats_say(seed: int) -> None:
    repeats = torch.tensor([1.0] * 60 + [3.0] * 20)
    order = draw_order(repeats, torch.Generator().manual_seed(seed)).tolist()
    assert len(order) == 80
    times = Counter(order)
    assert {times[number] for number in range(60)} == {0, 1}
    assert {times[number] for number in range(60, 80)} <= {2, 1}
    assert sum(times[number] for number in range(60, 80)) in (39, 40, 41)
    assert order[:40] != sorted(order[:40])


def open_plain_set(folder: Path) -> TrainingSet:
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
    pictures = open_plain_set(folder)
    return Deadly(
        pictures.collection, canvas=pictures.canvas, rules=pictures.rules, augmentation=None, seed=(0,)
    )


def shapes(batches: Iterator[Batch]) -> list[tuple[int, ...]]:
    return [tuple(batch.pixels.shape) for batch in batches]


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_the_order_of_their_groups(tiny_set: Path, workers: int) -> None:
    found = shapes(load_batches(open_plain_set(tiny_set), [[0, 1], [1]], workers=workers))
    assert found == [(2, 64, 64, 3), (1, 64, 64, 3)]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_gone_since_the_start_is_named(tiny_set: Path, workers: int) -> None:
    pictures = open_plain_set(tiny_set)
    (tiny_set / "images" / "1.png").unlink()
    with pytest.raises(PictureFailed, match=r"1\.png is missing"):
        shapes(load_batches(pictures, [[1], [0]], workers=workers))


def test_an_error_of_any_kind_names_the_picture(tiny_set: Path) -> None:
    pictures = open_plain_set(tiny_set)
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
    deadline = time.monotonic() + PATIENCE_S
    while worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)  # whoever handles the death of children has done so by then
    with pytest.raises(WorkerDied, match=r"was reading \S*2\.png"):
        next(batches)


def test_a_worker_killed_by_the_system_was_reading_this_file(tiny_set: Path) -> None:
    with pytest.raises(WorkerDied, match=r"was reading \S*2\.png\. If memory is short"):
        shapes(load_batches(deadly(tiny_set), [[0], [1]], workers=1))
