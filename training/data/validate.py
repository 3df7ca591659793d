"""Checks of a COCO file, and a copy of its content without the faulty parts.

An object with an unusable mask becomes `box_only`. An object with an unusable box is left out, and so is a
picture whose file is missing. What remains has numbers as ids, a box for every object, and the frame of the
upright pictures, so that training and evaluation read it without further checks.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service.inference.card import Label
from service.types import Size
from training.data.faults import (
    DataRefused,
    Fault,
    Record,
    as_box,
    as_flag,
    as_id,
    as_key,
    as_name,
    is_number,
)
from training.data.frames import find_stored_labels, turn_object
from training.data.masks import bound_mask, find_mask_fault, find_moved_mask, measure_area
from training.data.pictures import PictureFailed, PictureFinder, PictureHeader, read_header

PARTS = ("images", "annotations", "categories")  # of a COCO file
SPOKEN = ("exhaustive_category_ids", "assumed_absent_category_ids")


@dataclass(frozen=True, slots=True)
class Entry:
    """A usable entry of an image: as in the file, and with what its picture's header says.

    labelled: the size of the frame that the labels are in.
    """

    record: Record
    header: PictureHeader
    labelled: Size

    @property
    def is_turned(self) -> bool:
        """True if its labels are in the frame of the stored pixels, and EXIF turns these."""
        return self.labelled != self.header.upright

    @property
    def is_undecided(self) -> bool:
        """True if EXIF turns the picture, but its size is the same in both frames."""
        return self.header.orientation > 1 and self.header.stored == self.header.upright


def read_content(file: Path) -> dict[str, Any]:
    """The content of a COCO file; raises DataRefused if it is not one."""
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataRefused(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(part), list) for part in PARTS):
        raise DataRefused(f"{file} is not in COCO's format, which has lists of {', '.join(PARTS)}")
    return content


def clean_content(
    content: Record, images: Path, file: Path | None = None
) -> tuple[dict[str, Any], tuple[Fault, ...]]:
    """A COCO file's content without its faulty parts, and the faults.

    images: the folder of its pictures. file: the annotation file, which the faults then name; pictures are
    looked for beside it too.
    Raises DataRefused if there are no categories, or two with one id or name: no part can be left out then.
    """
    try:
        categories, dropped = clean_categories(content["categories"], content["annotations"])
    except DataRefused as error:
        raise DataRefused(f"{file}: {error}" if file else str(error)) from error
    finder = PictureFinder(list(dict.fromkeys([images, *([_folder_of(file)] if file else [])])))
    ids = frozenset(category["id"] for category in categories)
    pictures, lost = _check_images(content["images"], finder, images)
    objects, faults = _check_objects(content, pictures, ids)
    usable, objects, undecided = _leave_out_stored(pictures, objects, images)
    listed = [*dropped, *lost, *faults, *undecided]
    cleaned = {
        **content,
        "images": [entry.record for entry in usable.values()],
        "annotations": objects,
        "categories": categories,
    }
    return cleaned, tuple(replace(fault, file=str(file or "")) for fault in listed)


def _folder_of(file: Path) -> Path:
    return file if file.is_dir() else file.parent


def clean_categories(
    categories: Sequence[Any], annotations: Sequence[Any]
) -> tuple[list[Record], list[Fault]]:
    """The categories with whole numbers as ids and texts as names, and those that are left out.

    Roboflow adds a root category without objects, which the others name as their supercategory.
    Raises DataRefused if there are none, or if ids or names are missing or repeated.
    """
    read: list[Record] = [_read_category(item) for item in categories]
    used = {as_id(item.get("category_id")) for item in annotations if isinstance(item, Mapping)}
    names = Counter(item["name"] for item in read)
    roots: list[Record] = []
    kept: list[Record] = []
    for item in read:
        others = {other.get("supercategory") for other in read if other is not item}
        is_root = item["id"] not in used and (item["name"] in others or names[item["name"]] > 1)
        (roots if is_root else kept).append(item)
    for key in ("id", "name"):
        values = [item[key] for item in kept or read]
        if not values or None in values or len(set(values)) < len(values):
            raise DataRefused(f"every category needs its own {key}, and there must be at least one: {values}")
    for item in kept:
        _check_label(item)
    kind = "a category without objects, which others name as their supercategory, or whose name stands twice"
    faults = [Fault(kind, f"category {item['id']} {item['name']}", harmless=True) for item in roots]
    return (kept, faults) if kept else (read, [])


def _read_category(item: Any) -> dict[str, Any]:
    record = item if isinstance(item, Mapping) else {}
    return {**record, "id": as_id(record.get("id")), "name": as_name(record.get("name"))}


def _check_label(category: Record) -> None:
    """Raises DataRefused if a model's card could not hold the category."""
    try:
        Label(category_id=category["id"], name=category["name"])
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise DataRefused(f"category {category['id']} cannot be a label: {reason}") from error


def _check_images(
    entries: Sequence[Any], finder: PictureFinder, images: Path
) -> tuple[dict[int | str, Entry | None], list[Fault]]:
    """The usable entries by the file's ids, None for the others; and the faults of the others."""
    found: dict[int | str, Entry | None] = {}
    faults = []
    numbers = _number_images(entries)
    for place, item in enumerate(entries):
        record = item if isinstance(item, Mapping) else {}
        key = as_key(record.get("id"))
        entry = _read_entry(record, finder, images, is_known=key in found)
        if isinstance(entry, str):
            where = f"image {record.get('id', f'number {place + 1}')} {record.get('file_name', '')}"
            faults.append(Fault(entry, where.rstrip()))
            if key is not None:
                found.setdefault(key, None)
        elif key is not None:
            found[key] = replace(entry, record={**entry.record, "id": numbers[key]})
    return found, faults


def _number_images(entries: Sequence[Any]) -> dict[int | str, int]:
    """A number for each id of the file: numbers stay, texts get the numbers that follow."""
    keys = [as_key(item.get("id")) for item in entries if isinstance(item, Mapping)]
    numbers: dict[int | str, int] = {key: key for key in keys if isinstance(key, int)}
    last = max(numbers.values(), default=0)
    texts = dict.fromkeys(key for key in keys if isinstance(key, str))
    return numbers | {key: last + number for number, key in enumerate(texts, 1)}


def _read_entry(record: Record, finder: PictureFinder, images: Path, *, is_known: bool) -> Entry | str:
    """The usable entry, in the upright frame, or its fault."""
    if not {"id", "file_name", "height", "width"} <= record.keys():
        return "its entry has no id, file_name, height or width"
    if as_key(record["id"]) is None or not isinstance(record["file_name"], str):
        return "its id or file_name is not a number or text"
    if is_known:
        return "another image has its id"
    height, width = as_id(record["height"]), as_id(record["width"])
    if height is None or width is None or min(height, width) < 1:
        return "its size is not that of an image"
    spoken = {key: _read_ids(record[key]) for key in SPOKEN if key in record}
    if None in spoken.values():
        return f"its {' or '.join(spoken)} is not a list of category ids"
    name = finder.find(record["file_name"])
    if name is None:
        return f"its file is missing in {finder.describe()}"
    try:
        header = read_header(images / name)
    except PictureFailed:
        return "its file is empty or is not an image"
    labelled = Size(height, width)
    if labelled not in (header.upright, header.stored):
        return "its size is not that of its file"
    size = {"height": header.upright.height, "width": header.upright.width}
    return Entry({**record, **spoken, **size, "file_name": name}, header, labelled)


def _read_ids(value: object) -> list[int] | None:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    ids = [number for item in value if (number := as_id(item)) is not None]
    return ids if len(ids) == len(value) else None


def _check_objects(
    content: Record, pictures: Mapping[int | str, Entry | None], categories: Collection[int]
) -> tuple[list[Record], list[Fault]]:
    """The usable annotations, in the upright frame, and the faults of all."""
    objects: list[Record] = []
    faults = []
    for place, item in enumerate(content["annotations"]):
        record = item if isinstance(item, Mapping) else {}
        key = as_key(record.get("image_id"))
        entry = None if key is None else pictures.get(key)
        if entry is None and key in pictures:
            continue  # its picture is left out already
        usable, kind = _repair_object(record, entry, categories)
        if usable is not None:
            objects.append(usable)
        if kind:
            name = record.get("id", f"number {place + 1}")
            faults.append(Fault(kind, f"annotation {name} of image {record.get('image_id')}"))
    return objects, faults


def _repair_object(
    item: Record, entry: Entry | None, categories: Collection[int]
) -> tuple[Record | None, str | None]:
    """The usable part of an annotation, None if there is none; and its fault, None if it has none."""
    if entry is None:
        return None, "it belongs to no image"
    category, crowd = as_id(item.get("category_id")), as_flag(item.get("iscrowd"))
    if category not in categories:
        return None, "its category is unknown"
    if crowd is None:
        return None, "its iscrowd is neither 0 nor 1"
    mask_fault = find_mask_fault(item, entry.labelled)
    box = _find_box(item, entry.labelled, has_mask=mask_fault is None)
    if isinstance(box, str):
        return None, box
    mask_fault = mask_fault or find_moved_mask(item.get("segmentation"), box, entry.labelled)
    read = {"image_id": entry.record["id"], "category_id": category, "bbox": list(item.get("bbox") or box)}
    read |= {"iscrowd": int(crowd)} if "iscrowd" in item else {}
    read |= {"segmentation": [], "box_only": True} if mask_fault else {}
    repaired = {**item, **read}
    area = item.get("area")
    if not is_number(area) or not 0 <= area <= entry.labelled.pixels:
        repaired["area"] = measure_area(repaired, entry.labelled)
    if entry.is_turned:
        repaired = turn_object(repaired, entry.header.orientation, entry.labelled)
    return repaired, mask_fault


def _find_box(item: Record, size: Size, *, has_mask: bool) -> tuple[float, float, float, float] | str:
    """An annotation's box, xywh, from its mask if it has none; or its fault."""
    if item.get("bbox") is None and has_mask and item.get("segmentation"):
        return bound_mask(item["segmentation"], size) or "its mask has no pixel in its image"
    box = as_box(item.get("bbox"))
    if box is None:
        return "its bbox is not four numbers"
    x, y, width, height = box
    if min(width, height) <= 0:
        return "its box has no area"
    is_outside = x >= size.width or y >= size.height or x + width <= 0 or y + height <= 0
    return "its box is out of its image" if is_outside else box


def _leave_out_stored(
    pictures: Mapping[int | str, Entry | None], objects: list[Record], images: Path
) -> tuple[dict[int, Entry], list[Record], list[Fault]]:
    """The pictures by number and the annotations, without pictures whose labels are for stored pixels."""
    usable = {entry.record["id"]: entry for entry in pictures.values() if entry is not None}
    undecided = {number for number, entry in usable.items() if entry.is_undecided}
    labels: dict[int, list[Record]] = {number: [] for number in undecided}
    for item in objects:
        if item["image_id"] in undecided:
            labels[item["image_id"]].append(item)
    compared = [
        (images / usable[number].record["file_name"], usable[number].header, labels[number])
        for number in sorted(undecided)
    ]
    if not find_stored_labels(compared):
        return usable, objects, []
    kind = "its labels fit the stored pixels, not the upright picture that EXIF makes of them"
    faults = [
        Fault(kind, f"image {number} {usable[number].record['file_name']}") for number in sorted(undecided)
    ]
    kept = {number: entry for number, entry in usable.items() if number not in undecided}
    return kept, [item for item in objects if item["image_id"] not in undecided], faults
