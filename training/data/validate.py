"""Checks of a COCO file, and a copy of its content without the faulty parts.

An object with an unusable mask becomes `box_only`. An object with an unusable box is left out, and so is a
picture whose file is missing.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal, TypeAlias

from service.inference.masks.rle import decode_counts

Record: TypeAlias = Mapping[str, Any]
BadData: TypeAlias = Literal["skip", "refuse"]
PARTS = ("images", "annotations", "categories")  # of a COCO file
EXAMPLES = 3  # named in a message for each kind of fault


class DataRefused(ValueError):
    """The data cannot be used as it is."""


@dataclass(frozen=True, slots=True)
class Fault:
    """kind: a phrase that describes the fault. where: the picture or annotation."""

    kind: str
    where: str


def read_content(file: Path) -> dict[str, Any]:
    """The content of a COCO file; raises DataRefused if it is not one."""
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise DataRefused(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(part), list) for part in PARTS):
        raise DataRefused(f"{file} is not in COCO's format, which has lists of {', '.join(PARTS)}")
    return content


def clean_content(content: Record, images: Path) -> tuple[dict[str, Any], tuple[Fault, ...]]:
    """A COCO file's content without its faulty parts, and the faults; images: the folder of its pictures.

    Raises DataRefused if there are no categories, or two with one id or name: no part can be left out then.
    """
    check_categories(content.get("categories", ()))
    pictures, lost = _check_images(content["images"], images)
    listed = {entry.get("id") for entry in content["images"]}
    categories = {category["id"] for category in content["categories"]}
    objects: list[Record] = []
    for item in content["annotations"]:
        picture = pictures.get(item.get("image_id"))
        if picture is None and item.get("image_id") in listed:
            continue  # its picture is left out already
        usable, kind = _repair_object(item, picture, categories)
        objects += usable
        if kind:
            lost.append(Fault(kind, f"annotation {item.get('id')} of image {item.get('image_id')}"))
    return {**content, "images": list(pictures.values()), "annotations": objects}, tuple(lost)


def _check_images(entries: Sequence[Record], images: Path) -> tuple[dict[int, Record], list[Fault]]:
    """The usable entries by id, and the faults of the others."""
    good: dict[int, Record] = {}
    faults = []
    for entry in entries:
        if kind := find_image_fault(entry, images, good):
            faults.append(Fault(kind, f"image {entry.get('id')} {entry.get('file_name', '')}".rstrip()))
        else:
            good[entry["id"]] = entry
    return good, faults


def _repair_object(
    item: Record, picture: Record | None, categories: Collection[int]
) -> tuple[list[Record], str | None]:
    """The usable part of an annotation (one record or none), and its fault."""
    kind = "it belongs to no image" if picture is None else find_object_fault(item, categories)
    if kind or picture is None:
        return [], kind
    kind = find_mask_fault(item, picture)
    return [{**item, "segmentation": [], "box_only": True} if kind else item], kind


def check_categories(categories: Sequence[Record]) -> None:
    """Raises DataRefused if there are none, or if ids or names are missing or repeated."""
    for key in ("id", "name"):
        values = [category.get(key) for category in categories]
        if not values or None in values or len(set(values)) < len(values):
            raise DataRefused(f"every category needs its own {key}, and there must be at least one: {values}")


def find_image_fault(entry: Record, images: Path, others: Collection[int]) -> str | None:
    """The fault of an image's entry; None if it has none."""
    if not {"id", "file_name", "height", "width"} <= entry.keys():
        return "its entry has no id, file_name, height or width"
    if entry["id"] in others:
        return "another image has its id"
    if min(entry["height"], entry["width"]) < 1:
        return "its size is not that of an image"
    return None if (images / entry["file_name"]).is_file() else "its file is missing"


def find_object_fault(item: Record, categories: Collection[int]) -> str | None:
    """The fault that makes an annotation unusable; None if it has none."""
    if item.get("category_id") not in categories:
        return "its category is unknown"
    box = item.get("bbox")
    if not isinstance(box, Sequence) or len(box) != 4 or not all(map(_is_number, box)):
        return "its bbox is not four numbers"
    return None if min(box[2:]) > 0 else "its box has no area"


def find_mask_fault(item: Record, picture: Record) -> str | None:
    """The fault of an annotation's mask; None if it has none, or if the annotation is `box_only`."""
    segmentation = item.get("segmentation")
    if item.get("box_only"):
        return None
    if not segmentation:
        return "it has no mask and is not marked as box_only"
    if isinstance(segmentation, Mapping):
        return _find_rle_fault(segmentation, [picture["height"], picture["width"]])
    if not isinstance(segmentation, Sequence) or any(isinstance(ring, str) for ring in segmentation):
        return "its mask is neither polygons nor RLE"
    return _find_polygon_fault(segmentation)


def _find_polygon_fault(rings: Sequence[Any]) -> str | None:
    if any(isinstance(ring, Mapping) for ring in rings):
        return "its mask mixes polygons and RLE"
    if not all(isinstance(ring, Sequence) and all(map(_is_number, ring)) for ring in rings):
        return "its mask is neither polygons nor RLE"
    if any(len(ring) < 6 or len(ring) % 2 for ring in rings):
        return "a polygon of its mask has fewer than three points, or half a point"
    return None if any(map(ring_area, rings)) else "its polygon has no area"


def _find_rle_fault(segmentation: Record, size: list[int]) -> str | None:
    if list(segmentation.get("size", ())) != size:
        return "its mask is of another size than its image"
    counts = segmentation.get("counts")
    try:
        lengths = decode_counts(counts).tolist() if isinstance(counts, str) else list(counts or ())
    except (TypeError, ValueError):
        return "its RLE cannot be read"
    if not all(map(_is_number, lengths)) or min(lengths, default=0) < 0 or sum(lengths) != size[0] * size[1]:
        return "its RLE does not fill its image"
    return None if sum(lengths[1::2]) else "its mask has no area"


def ring_area(ring: list[float]) -> float:
    """The area of the polygon x, y, x, y, ... (shoelace formula); its sign depends on the direction.

    >>> ring_area([0, 0, 2, 0, 2, 3]), ring_area([0, 0, 1, 1, 2, 2])
    (3.0, 0.0)
    """
    xs, ys = ring[0::2], ring[1::2]
    before = zip(xs[-1:] + xs[:-1], ys[-1:] + ys[:-1], strict=True)
    return sum((a * y - x * b for (a, b), x, y in zip(before, xs, ys, strict=True)), start=0.0) / 2


def refuse_faults(faults: Sequence[Fault]) -> None:
    """Raises DataRefused that lists the faults, if there are any."""
    if faults:
        raise DataRefused(
            f"{describe_faults(faults)}\nCorrect the data, or use --bad-data skip to leave these parts out"
        )


def describe_faults(faults: Iterable[Fault]) -> str:
    """One line for each kind of fault: its number and its first places."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for fault in faults:
        places[fault.kind].append(fault.where)
    return "\n".join(
        f"{len(found)} x {kind}: {', '.join(found[:EXAMPLES])}{', ...' if len(found) > EXAMPLES else ''}"
        for kind, found in places.items()
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
