"""What is wrong with a COCO file, and the same file without it.

An object whose mask cannot be used is known by its box alone from then on (`box_only`), one without a usable
box is left out, and so is a picture that is not there.
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
EXAMPLES = 3  # of a kind of fault, in a message


class DataRefused(ValueError):
    """The data has faults, and was to have none."""


@dataclass(frozen=True, slots=True)
class Fault:
    """kind: what is wrong, as a phrase. where: the picture or annotation, for people."""

    kind: str
    where: str


def read_content(file: Path) -> dict[str, Any]:
    """A COCO file as it is; raises DataRefused where it is none."""
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise DataRefused(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(part), list) for part in PARTS):
        raise DataRefused(f"{file} is not in COCO's format, which has lists of {', '.join(PARTS)}")
    return content


def clean_content(content: Record, images: Path) -> tuple[dict[str, Any], tuple[Fault, ...]]:
    """A COCO file's content without its faults, and the faults; its pictures are looked for in `images`.

    Raises DataRefused of what nothing can be left out of: categories that are none, or share an id or a name.
    """
    check_categories(content.get("categories", ()))
    pictures, lost = _sort_pictures(content["images"], images)
    listed = {entry.get("id") for entry in content["images"]}
    categories = {category["id"] for category in content["categories"]}
    objects: list[Record] = []
    for item in content["annotations"]:
        picture = pictures.get(item.get("image_id"))
        if picture is None and item.get("image_id") in listed:
            continue  # it goes with its picture
        usable, kind = _mend_object(item, picture, categories)
        objects += usable
        if kind:
            lost.append(Fault(kind, f"annotation {item.get('id')} of image {item.get('image_id')}"))
    return {**content, "images": list(pictures.values()), "annotations": objects}, tuple(lost)


def _sort_pictures(entries: Sequence[Record], images: Path) -> tuple[dict[int, Record], list[Fault]]:
    """The good ones by id, and what is wrong with the others."""
    good: dict[int, Record] = {}
    faults = []
    for entry in entries:
        if kind := judge_picture(entry, images, good):
            faults.append(Fault(kind, f"image {entry.get('id')} {entry.get('file_name', '')}".rstrip()))
        else:
            good[entry["id"]] = entry
    return good, faults


def _mend_object(
    item: Record, picture: Record | None, categories: Collection[int]
) -> tuple[list[Record], str | None]:
    """What of an annotation can be used, one or none, and what is wrong with it."""
    kind = "it belongs to no image" if picture is None else judge_object(item, categories)
    if kind or picture is None:
        return [], kind
    kind = judge_mask(item, picture)
    return [{**item, "segmentation": [], "box_only": True} if kind else item], kind


def check_categories(categories: Sequence[Record]) -> None:
    """Raises DataRefused where there are none, or one has no id or name of its own."""
    for key in ("id", "name"):
        values = [category.get(key) for category in categories]
        if not values or None in values or len(set(values)) < len(values):
            raise DataRefused(f"there have to be categories, and the {key} of each its own: {values}")


def judge_picture(entry: Record, images: Path, others: Collection[int]) -> str | None:
    """What is wrong with an image's entry; None of a good one."""
    if not {"id", "file_name", "height", "width"} <= entry.keys():
        return "its entry has no id, file_name, height or width"
    if entry["id"] in others:
        return "another image has its id"
    if min(entry["height"], entry["width"]) < 1:
        return "its size is not that of an image"
    return None if (images / entry["file_name"]).is_file() else "its file is missing"


def judge_object(item: Record, categories: Collection[int]) -> str | None:
    """Why an annotation cannot be used at all; None where it can."""
    if item.get("category_id") not in categories:
        return "its category is unknown"
    box = item.get("bbox")
    if not isinstance(box, Sequence) or len(box) != 4 or not all(map(_is_number, box)):
        return "its bbox is not four numbers"
    return None if min(box[2:]) > 0 else "its box has no area"


def judge_mask(item: Record, picture: Record) -> str | None:
    """Why an annotation's mask cannot be used; None where it can, or is said to be unknown."""
    segmentation = item.get("segmentation")
    if item.get("box_only"):
        return None
    if not segmentation:
        return "it has no mask and is not marked as box_only"
    if isinstance(segmentation, Mapping):
        return _judge_runs(segmentation, [picture["height"], picture["width"]])
    if not isinstance(segmentation, Sequence) or any(isinstance(ring, str) for ring in segmentation):
        return "its mask is neither polygons nor RLE"
    return _judge_rings(segmentation)


def _judge_rings(rings: Sequence[Any]) -> str | None:
    if any(isinstance(ring, Mapping) for ring in rings):
        return "its mask mixes polygons and RLE"
    if not all(isinstance(ring, Sequence) and all(map(_is_number, ring)) for ring in rings):
        return "its mask is neither polygons nor RLE"
    if any(len(ring) < 6 or len(ring) % 2 for ring in rings):
        return "a polygon of its mask has fewer than three points, or half a point"
    return None if any(map(ring_area, rings)) else "its polygon has no area"


def _judge_runs(segmentation: Record, size: list[int]) -> str | None:
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
    """Of the polygon x, y, x, y, ..., by Gauss; negative where it runs the other way round.

    >>> ring_area([0, 0, 2, 0, 2, 3]), ring_area([0, 0, 1, 1, 2, 2])
    (3.0, 0.0)
    """
    xs, ys = ring[0::2], ring[1::2]
    before = zip(xs[-1:] + xs[:-1], ys[-1:] + ys[:-1], strict=True)
    return sum((a * y - x * b for (a, b), x, y in zip(before, xs, ys, strict=True)), start=0.0) / 2


def refuse_faults(faults: Sequence[Fault]) -> None:
    """Raises DataRefused that lists them, unless there are none."""
    if faults:
        raise DataRefused(f"{describe_faults(faults)}\nMend the data, or leave them out: --bad-data skip")


def describe_faults(faults: Iterable[Fault]) -> str:
    """A line for each kind: how many there are, and where the first of them are."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for fault in faults:
        places[fault.kind].append(fault.where)
    return "\n".join(
        f"{len(found)} x {kind}: {', '.join(found[:EXAMPLES])}{', ...' if len(found) > EXAMPLES else ''}"
        for kind, found in places.items()
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
