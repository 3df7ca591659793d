"""Copies of data sets with smaller pictures, which are quicker to read and to upload."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from rich.progress import track

from service.types import Pixels, Size
from training.data.datasets import Split, find_split, find_training_split, read_split
from training.data.faults import DataRefused, describe_faults
from training.data.licences import Licences, keep_commercial
from training.data.masks import decode_counts, encode_segmentation
from training.data.pictures import read_image

QUALITY = 92  # of the JPEGs


def shrink_set(data: Path, folder: Path, side: int, *, licences: Licences = "all") -> Iterator[str]:
    """Copies a COCO-format set into a new folder, with sides of at most `side` pixels; yields progress
    messages.

    Boxes and masks are scaled too. An object whose mask has no pixel left becomes `box_only`.
    Raises FileNotFoundError if there is no set, DataRefused if the folder is not empty, PictureFailed.
    """
    if folder.exists() and any(folder.iterdir()):
        raise DataRefused(f"{folder} is not empty: choose another folder for the copy")
    for name, split in find_splits(data).items():
        content, faults = read_split(split, "skip")
        if faults:
            yield f"left out: {describe_faults(faults)}"
        if licences == "commercial":
            content = keep_commercial(content)
        smaller = shrink_content(content, split, folder / "images", side)
        (folder / f"instances_{name}.json").write_text(json.dumps(smaller))
        yield f"{name}: {len(smaller['images'])} pictures, {len(smaller['annotations'])} objects"


def find_splits(data: Path) -> dict[str, Split]:
    """The train split (or the whole set), and the val split if there is one."""
    splits = {"train": find_training_split(data)}
    try:
        return splits | {"val": find_split(data, "val")}
    except FileNotFoundError:
        return splits


def shrink_content(content: Mapping[str, Any], split: Split, images: Path, side: int) -> dict[str, Any]:
    """The content for the smaller pictures, which it writes into `images`; other fields are copied."""
    sizes = {entry["id"]: Size(entry["height"], entry["width"]) for entry in content["images"]}
    smaller = {number: fit_size(size, side) for number, size in sizes.items()}
    entries = list(_shrink_pictures(content, split, images, smaller))
    annotations = [
        shrink_annotation(item, sizes[item["image_id"]], smaller[item["image_id"]])
        for item in content["annotations"]
    ]
    return {**content, "images": entries, "annotations": annotations}


def _shrink_pictures(
    content: Mapping[str, Any], split: Split, images: Path, sizes: Mapping[int, Size]
) -> Iterator[dict[str, Any]]:
    for entry in track(content["images"], description="shrinking"):
        size, name = sizes[entry["id"]], name_copy(entry["file_name"])
        pixels = resize(read_image(split.images / entry["file_name"]), size)
        _, encoded = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).write_bytes(encoded.tobytes())
        yield {**entry, "file_name": name, "height": size.height, "width": size.width}


def name_copy(name: str) -> str:
    """The name of a smaller copy, inside the folder of the copies.

    >>> name_copy("a/b.png"), name_copy("../set/c.jpg")
    ('a/b.png.jpg', 'set/c.jpg.jpg')
    """
    return "/".join(part for part in Path(name).parts if part not in ("..", "/")) + ".jpg"


def shrink_annotation(item: Mapping[str, Any], size: Size, smaller: Size) -> dict[str, Any]:
    """An annotation of a picture of `size` for that picture at the size `smaller`.

    >>> shrink_annotation({"bbox": [4, 4, 8, 2]}, Size(16, 16), Size(8, 4))["bbox"]
    [1.0, 2.0, 2.0, 1.0]
    """
    across, down = smaller.width / size.width, smaller.height / size.height
    x, y, width, height = item["bbox"]
    shrunk = {**item, "bbox": [x * across, y * down, width * across, height * down]}
    if "area" in item:
        shrunk["area"] = item["area"] * across * down
    counts = encode_segmentation(item.get("segmentation"), size)
    if counts is None:
        return shrunk
    mask = resize(decode_counts(counts, size) * 255, smaller) > 127
    if not mask.any():
        return {**shrunk, "segmentation": [], "box_only": True}
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {
        **shrunk,
        "segmentation": {"size": [smaller.height, smaller.width], "counts": encoded["counts"].decode()},
    }


def fit_size(size: Size, side: int) -> Size:
    """The size, scaled down to a longest side of `side` if it is larger.

    >>> fit_size(Size(480, 640), 320)
    Size(height=240, width=320)
    """
    ratio = min(1.0, side / max(size.height, size.width))
    return Size(max(1, round(size.height * ratio)), max(1, round(size.width * ratio)))


def resize(pixels: Pixels, size: Size) -> Pixels:
    """The picture at another size, by area averaging: uint8 [H, W] or [H, W, C]."""
    return cv2.resize(pixels, (size.width, size.height), interpolation=cv2.INTER_AREA).astype(
        np.uint8, copy=False
    )
