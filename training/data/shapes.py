"""A generated data set of simple shapes in COCO's format, to try the training with."""

import json
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from pycocotools import mask as coco_mask

from service.inference.golden import draw_picture
from service.types import Pixels, Size
from training.data.masks import Bitmap

NAMES = ("disc", "square", "triangle")
COLOURS = ((235, 70, 50), (60, 110, 245), (70, 210, 90))
CORNERS = (0, 4, 3)
VAL = 5  # one in 5 pictures is for val


def shapes(
    folder: Annotated[Path, typer.Argument(help="The new folder of the data set.")],
    pictures: Annotated[int, typer.Option(help="Number of pictures; a fifth is for val.", min=2)] = 50,
    side: Annotated[int, typer.Option(help="Longer side of the pictures, pixels.", min=64)] = 320,
    seed: Annotated[int, typer.Option(help="Seed of the random shapes.")] = 0,
) -> None:
    """Generate a small data set of discs, squares and triangles in COCO's format."""
    random = np.random.default_rng(seed)
    first = max(1, pictures // VAL)
    for split, numbers in (("val", range(first)), ("train", range(first, pictures))):
        content = draw_split(folder, numbers, side, random)
        (folder / f"instances_{split}.json").write_text(json.dumps(content))
    typer.echo(f"{folder}: {pictures - first} pictures to train on, {first} to evaluate on")


def draw_split(folder: Path, numbers: range, side: int, random: np.random.Generator) -> dict[str, Any]:
    """The COCO file's content; writes the pictures into images/."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in numbers:
        size = Size(int(random.integers(side * 3 // 4, side + 1)), side)
        pixels, masks = draw_scene(size, random, seed=number)
        name = f"{number:04d}.png"
        cv2.imwrite(str(folder / "images" / name), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        images.append({"id": number + 1, "file_name": name, "height": size.height, "width": size.width})
        for label, mask in masks:
            annotation = {"id": 100 * number + len(annotations) + 1, "image_id": number + 1}
            annotations.append(annotation | {"category_id": label + 1, "iscrowd": 0} | describe_mask(mask))
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(NAMES)]
    return {"images": images, "categories": categories, "annotations": annotations}


def draw_scene(
    size: Size, random: np.random.Generator, *, seed: int
) -> tuple[Pixels, list[tuple[int, Bitmap]]]:
    """One to four shapes on a dark pattern, uint8 [H, W, 3], and each one's label and mask, uint8 [H, W]."""
    pixels = draw_picture(size, seed=seed) // 3
    masks: list[tuple[int, Bitmap]] = []
    taken = np.zeros((size.height, size.width), np.uint8)
    for _ in range(int(random.integers(1, 5))):
        label = int(random.integers(len(NAMES)))
        mask = draw_shape(label, size, random)
        if (mask & taken).any():
            continue
        taken |= mask
        pixels[mask > 0] = COLOURS[label]
        masks.append((label, mask))
    return pixels, masks


def draw_shape(label: int, size: Size, random: np.random.Generator) -> Bitmap:
    """The mask of a random shape: uint8 [H, W], 0 or 1."""
    mask = np.zeros((size.height, size.width), np.uint8)
    radius = int(random.integers(size.height // 10, size.height // 4))
    x = int(random.integers(radius, size.width - radius))
    y = int(random.integers(radius, size.height - radius))
    if not CORNERS[label]:
        cv2.circle(mask, (x, y), radius, 1, cv2.FILLED)
        return mask
    turn = random.uniform(0, np.pi)
    angles = turn + 2 * np.pi * np.arange(CORNERS[label]) / CORNERS[label]
    points = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=-1)
    cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 1)
    return mask


def describe_mask(mask: Bitmap) -> dict[str, Any]:
    """The annotation fields that follow from a mask."""
    rle = coco_mask.encode(np.asfortranarray(mask))
    segmentation = {"size": list(mask.shape), "counts": rle["counts"].decode()}
    return {"bbox": list(cv2.boundingRect(mask)), "area": int(mask.sum()), "segmentation": segmentation}
