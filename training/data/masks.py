"""Masks of COCO files, in any of the format's spellings: their faults, bounds, and pixels."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from service.inference.masks.rle import decode_counts as decode_lengths
from service.inference.masks.rle import decode_rle
from service.types import Rle, Size
from training.data.faults import Box, Record, is_number, is_sequence

Bitmap: TypeAlias = npt.NDArray[np.uint8]
MIN_INSIDE = 0.5  # share of a mask's bounds that must be in its picture, and in its box
SLACK = 2.0  # pixels: boxes and outlines are often rounded


def encode_segmentation(
    segmentation: Sequence[Sequence[float]] | Mapping[str, Any] | None, size: Size
) -> bytes | None:
    """Compressed RLE counts of a segmentation in any of COCO's formats; None if it has no pixel.

    Raises ValueError if an RLE has another size than the image.
    """
    if not segmentation:
        return None
    if not isinstance(segmentation, Mapping):
        parts = coco_mask.frPyObjects([list(ring) for ring in segmentation], size.height, size.width)
        merged = coco_mask.merge(parts)
        return bytes(merged["counts"]) if coco_mask.area(merged) else None
    if list(segmentation["size"]) != [size.height, size.width]:
        raise ValueError(f"its mask is {segmentation['size']}, its image {[size.height, size.width]}")
    counts = segmentation["counts"]
    if isinstance(counts, str):
        return counts.encode()
    return bytes(coco_mask.frPyObjects(dict(segmentation), size.height, size.width)["counts"])


def decode_counts(counts: bytes, size: Size) -> Bitmap:
    """The mask of compressed RLE counts: uint8 [H, W], image frame, 0 or 1."""
    return decode_rle(Rle(size, counts.decode())).astype(np.uint8)


def mask_to_rle(mask: Bitmap) -> dict[str, Any]:
    """The RLE record of a mask, uint8 [H, W], as COCO files hold it."""
    encoded = coco_mask.encode(np.asfortranarray(mask))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode()}


def bound_mask(segmentation: Any, size: Size) -> Box | None:
    """The box around a mask without faults, xywh, image frame; None if it has no pixel in the image."""
    if isinstance(segmentation, Mapping):
        counts = encode_segmentation(segmentation, size)
        x, y, width, height = coco_mask.toBbox({"size": [size.height, size.width], "counts": counts}).tolist()
    else:
        left, top, right, bottom = _bound_rings(segmentation)
        x, y = max(0.0, left), max(0.0, top)
        width, height = min(size.width, right) - x, min(size.height, bottom) - y
    return (x, y, width, height) if width > 0 and height > 0 else None


def measure_area(item: Record, size: Size) -> float:
    """The area of an annotation's mask, in pixels; of its box if its mask is unknown."""
    counts = encode_segmentation(item.get("segmentation"), size)
    if counts is None:
        return float(item["bbox"][2] * item["bbox"][3])
    return float(coco_mask.area({"size": [size.height, size.width], "counts": counts}))


def find_mask_fault(item: Record, size: Size) -> str | None:
    """The fault of an annotation's mask; None if it has none, or if the annotation is `box_only`."""
    segmentation = item.get("segmentation")
    if item.get("box_only"):
        return None
    if not segmentation:
        return "it has no mask and is not marked as box_only"
    if isinstance(segmentation, Mapping):
        return _find_rle_fault(segmentation, size)
    if not is_sequence(segmentation):
        return "its mask is neither polygons nor RLE"
    return _find_polygon_fault(segmentation, size)


def _find_polygon_fault(rings: Sequence[Any], size: Size) -> str | None:
    if any(isinstance(ring, Mapping) for ring in rings):
        return "its mask mixes polygons and RLE"
    if not all(is_sequence(ring) and all(map(is_number, ring)) for ring in rings):
        return "its mask is neither polygons nor RLE"
    if any(len(ring) < 6 or len(ring) % 2 for ring in rings):
        return "a polygon of its mask has fewer than three points, or half a point"
    if not any(map(ring_area, rings)):
        return "its polygon has no area"
    image = (-SLACK, -SLACK, size.width + SLACK, size.height + SLACK)
    is_inside = _share_inside(_bound_rings(rings), image) >= MIN_INSIDE
    return None if is_inside else "its polygon is out of its image"


def _find_rle_fault(segmentation: Record, size: Size) -> str | None:
    if segmentation.get("size") not in ([size.height, size.width], (size.height, size.width)):
        return "its mask is of another size than its image"
    counts = segmentation.get("counts")
    try:
        lengths = decode_lengths(counts).tolist() if isinstance(counts, str) else list(counts or ())
    except (TypeError, ValueError, OverflowError):
        return "its RLE cannot be read"
    if not all(isinstance(length, int) and length >= 0 for length in lengths):
        return "its RLE does not fill its image"
    if sum(lengths) != size.pixels:
        return "its RLE does not fill its image"
    return None if sum(lengths[1::2]) else "its mask has no area"


def find_moved_mask(segmentation: Any, box: Box, size: Size) -> str | None:
    """The fault of a mask that lies somewhere else than its box, xywh; None if it has none.

    The mask has no fault of its own. size: that of the image.
    """
    bounds = bound_mask(segmentation, size) if segmentation else None
    if bounds is None:
        return None
    around = (box[0] - SLACK, box[1] - SLACK, box[0] + box[2] + SLACK, box[1] + box[3] + SLACK)
    is_inside = _share_inside(_to_xyxy(bounds), around) >= MIN_INSIDE
    return None if is_inside else "its mask is away from its box"


def _to_xyxy(box: Box) -> Box:
    """A box xywh as xyxy."""
    x, y, width, height = box
    return x, y, x + width, y + height


def _bound_rings(rings: Iterable[Sequence[float]]) -> Box:
    """The bounds of polygons: xyxy, image frame."""
    points = np.concatenate([np.asarray(ring, np.float64).reshape(-1, 2) for ring in rings])
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return left, top, right, bottom


def _share_inside(bounds: Box, region: Box) -> float:
    """The share of the bounds that is in the region, both xyxy.

    >>> _share_inside((0, 0, 4, 4), (2, 0, 9, 9))
    0.5
    """
    width = max(0.0, min(bounds[2], region[2]) - max(bounds[0], region[0]))
    height = max(0.0, min(bounds[3], region[3]) - max(bounds[1], region[1]))
    return width * height / ((bounds[2] - bounds[0]) * (bounds[3] - bounds[1]))


def ring_area(ring: Sequence[float]) -> float:
    """The area of the polygon x, y, x, y, ... (shoelace formula); its sign depends on the direction.

    >>> ring_area([0, 0, 2, 0, 2, 3]), ring_area([0, 0, 1, 1, 2, 2])
    (3.0, 0.0)
    """
    xs, ys = ring[0::2], ring[1::2]
    before = zip([*xs[-1:], *xs[:-1]], [*ys[-1:], *ys[:-1]], strict=True)
    return sum((a * y - x * b for (a, b), x, y in zip(before, xs, ys, strict=True)), start=0.0) / 2
