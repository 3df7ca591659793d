"""Labels of pictures that EXIF turns: which frame they are in, and the same labels for the upright picture.

For orientations 5 to 8 the size in the annotation file tells the frame. For the others it cannot; there the
outlines of the masks do, because they follow edges of the right picture.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np

from service.types import Pixels, Size
from training.data.faults import Box, Record
from training.data.masks import Bitmap, decode_counts, encode_segmentation, mask_to_rle
from training.data.pictures import SWAPPED, PictureFailed, PictureHeader, read_image, turn_upright

EVIDENCE = 0.2  # mean logarithm of the ratio of edges under outlines, in the stored and the upright picture
SAMPLES = 50  # pictures that are compared


def turn_points(points: Iterable[float], orientation: int, size: Size) -> list[float]:
    """Points x, y, x, y, ... of a stored picture of this size, for the upright picture.

    >>> turn_points([10, 20], 6, Size(100, 50))
    [80.0, 10.0]
    """
    xy = np.asarray(list(points), np.float64).reshape(-1, 2)
    height, width = size.height, size.width
    if orientation in SWAPPED:
        xy, height, width = xy[:, ::-1], width, height
    if orientation in (2, 3, 6, 7):
        xy = np.stack([width - xy[:, 0], xy[:, 1]], axis=1)
    if orientation in (3, 4, 7, 8):
        xy = np.stack([xy[:, 0], height - xy[:, 1]], axis=1)
    found: list[float] = xy.ravel().tolist()
    return found


def turn_box(box: Box, orientation: int, size: Size) -> Box:
    """A box, xywh, of a stored picture of this size, for the upright picture."""
    x, y, width, height = box
    left, top, right, bottom = turn_points([x, y, x + width, y + height], orientation, size)
    return min(left, right), min(top, bottom), abs(right - left), abs(bottom - top)


def turn_object(item: Record, orientation: int, size: Size) -> dict[str, Any]:
    """An annotation without faults of a stored picture of this size, for the upright picture."""
    segmentation = item.get("segmentation")
    turned = {**item, "bbox": list(turn_box(item["bbox"], orientation, size))}
    if isinstance(segmentation, Mapping):
        mask = decode_counts(encode_segmentation(segmentation, size) or b"", size)
        turned["segmentation"] = mask_to_rle(turn_upright(mask, orientation))
    elif segmentation:
        turned["segmentation"] = [turn_points(ring, orientation, size) for ring in segmentation]
    return turned


def find_stored_labels(
    pictures: Sequence[tuple[Path, PictureHeader, Sequence[Record]]],
) -> bool:
    """True if the labels of these pictures fit the stored pixels clearly better than the upright ones.

    pictures: the file, the header and the annotations of pictures whose size does not tell the frame.
    """
    step = max(1, len(pictures) // SAMPLES)
    ratios = [
        ratio
        for path, header, items in pictures[::step]
        if items
        for ratio in _compare_frames(path, header, items)
    ]
    return bool(ratios) and fmean(ratios) > EVIDENCE


def _compare_frames(path: Path, header: PictureHeader, items: Sequence[Record]) -> list[float]:
    """For each mask: the logarithm of its edges in the stored picture over those in the upright one."""
    try:
        edges = _measure_edges(read_image(path))
    except PictureFailed:
        return []
    found = []
    for item in items:
        counts = encode_segmentation(item.get("segmentation"), header.upright)
        if counts is None or item.get("iscrowd"):
            continue
        mask = decode_counts(counts, header.upright)
        turned = turn_upright(mask, header.orientation)
        if turned.shape == edges.shape == mask.shape:
            found.append(_mean_edge(edges, turned) - _mean_edge(edges, mask))
    return found


def _measure_edges(pixels: Pixels) -> Any:
    """The strength of edges: float32 [H, W]."""
    grey = cv2.GaussianBlur(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (0, 0), 1.5).astype(np.float32)
    return cv2.magnitude(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)) + 1


def _mean_edge(edges: Any, mask: Bitmap) -> float:
    """The logarithm of the mean strength of edges under a mask's outline."""
    kernel = np.ones((3, 3), np.uint8)
    outline = mask - cv2.erode(mask, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=(1,))
    return float(np.log(edges[outline > 0].mean())) if outline.any() else 0.0
