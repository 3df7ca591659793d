"""A tiny COCO-format set of drawn shapes, with every way COCO writes a mask."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from service.inference.golden import draw_picture
from service.types import Pixels, Size
from training.data.annotations import read_collection
from training.data.datasets import Split, find_split
from training.data.masks import Bitmap
from training.recipe import Recipe, Stage
from training.session import make_trainer

ROOT = Path(__file__).parents[2]
BY_HEART = Recipe(
    backbone="mobilenet_v1",  # it has the fewest blocks, so it is exported soonest
    neck_channels=24,
    width=0.35,
    epochs=120,
    stages=(Stage(until=1.0, side=192),),
    batch_size=2,
    rate=4e-3,
    average_decay=0.9,
    bfloat16=False,
    workers=0,
    augmentation=None,
)
DISC, SQUARE = 7, 3  # category ids, not in the order of their names
SIZES = (Size(120, 160), Size(150, 100))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives tests that export a model more time, and begins with one of their modules.

    The export takes a minute, on a busy machine many. Meanwhile other processes run other tests.
    """
    for item in items:
        if "trained" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(2400))
    items.sort(key=lambda item: item.path.name != "test_model_folder.py")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Networks of this size are faster with one thread."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/ (the set), run/ (a training that learnt it by heart) and model/ (its export).

    The first process that needs it makes it; the other processes of the same test run wait for it.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = shared / "trained"
    with (shared / "trained.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            train_and_export(own / "trained-draft").rename(folder)
    return folder


def train_and_export(folder: Path) -> Path:
    """The new folder, which it fills with data/, run/ and model/."""
    (folder / "data").mkdir(parents=True)
    split = find_split(write_tiny_set(folder / "data"), "train")
    train(BY_HEART, split, folder / "run")
    # It runs in its own process, because the TFLite exporter starts threads and later tests fork workers.
    checkpoint, side = folder / "run" / "checkpoint.pt", BY_HEART.stages[0].side
    command = ["-m", "training", "export", str(checkpoint), str(folder / "model"), "--side", str(side)]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def train(recipe: Recipe, split: Split, folder: Path) -> None:
    """A whole run, which leaves its checkpoint in the folder."""
    collection = read_collection(split.annotations, split.images)
    make_trainer(recipe, collection, folder).run(lambda report: None)


@pytest.fixture
def tiny_set(tmp_path: Path) -> Path:
    """The set in a folder of the test's own, which it may change."""
    return write_tiny_set(tmp_path)


def write_tiny_set(folder: Path) -> Path:
    """A folder with images/ and instances_train.json: two pictures, each with a disc and a square.

    Their masks are a polygon, an uncompressed RLE, a compressed one, and again a polygon.
    """
    (folder / "images").mkdir()
    annotations: list[dict[str, Any]] = []
    for image_id, size in enumerate(SIZES, 1):
        pixels = draw_picture(size, seed=image_id) // 4
        for category, mask, colour in _shapes(size):
            pixels[mask > 0] = colour
            number = len(annotations) + 1
            segmentation = (_polygon, _uncompressed, _compressed, _polygon)[number - 1](mask)
            annotations.append(_annotate(number, image_id, category, mask) | {"segmentation": segmentation})
        _write(folder / "images" / f"{image_id}.png", pixels)
    content = {
        "images": [
            {"id": image_id, "file_name": f"{image_id}.png", "height": size.height, "width": size.width}
            for image_id, size in enumerate(SIZES, 1)
        ],
        "categories": [{"id": DISC, "name": "disc"}, {"id": SQUARE, "name": "square"}],
        "annotations": annotations,
    }
    (folder / "instances_train.json").write_text(json.dumps(content))
    return folder


def _shapes(size: Size) -> list[tuple[int, Bitmap, tuple[int, int, int]]]:
    disc, square = (np.zeros((size.height, size.width), np.uint8) for _ in range(2))
    cv2.circle(disc, (size.width // 3, size.height // 3), 24, 1, cv2.FILLED)
    cv2.rectangle(
        square, (size.width // 2, size.height // 2), (size.width - 9, size.height - 12), 1, cv2.FILLED
    )
    square[disc > 0] = 0
    return [(DISC, disc, (240, 60, 40)), (SQUARE, square, (60, 90, 250))]


def _annotate(number: int, image_id: int, category: int, mask: Bitmap) -> dict[str, Any]:
    x, y, width, height = cv2.boundingRect(mask)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category,
        "bbox": [x, y, width, height],
        "area": int(mask.sum()),
        "iscrowd": 0,
    }


def _polygon(mask: Bitmap) -> list[list[float]]:
    """Around the outer edges of the pixels, so that it fills to the same mask."""
    twice = cv2.resize(mask, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
    (outline,), _ = cv2.findContours(twice, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [[float(value) for value in ((outline[:, 0] + 0.5) / 8).ravel()]]


def _uncompressed(mask: Bitmap) -> dict[str, Any]:
    flat = np.concatenate([[0], mask.ravel(order="F"), [2]])
    edges = np.flatnonzero(np.diff(flat))
    counts = np.diff(np.concatenate([[0], edges])).tolist()
    return {"size": list(mask.shape), "counts": counts}


def _compressed(mask: Bitmap) -> dict[str, Any]:
    rle = coco_mask.encode(np.asfortranarray(mask))
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}


def _write(path: Path, pixels: Pixels) -> None:
    assert cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
