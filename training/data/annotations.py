"""COCO annotation files, plain or federated, as frozen records.

In a federated data set each image lists the categories that are completely labelled in it. For the other
categories, unlabelled background is not evidence of absence. In a plain COCO file every image is completely
labelled for every category.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.inference.card import Label
from service.types import Size
from training.data.faults import refuse_faults
from training.data.masks import encode_segmentation
from training.data.validate import clean_content, read_content


@dataclass(frozen=True, slots=True)
class Annotation:
    """One object. box_xywh: image frame. counts: compressed RLE, None where the mask is unknown."""

    label: int
    box_xywh: tuple[float, float, float, float]
    counts: bytes | None
    ignored: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """One image with its objects.

    unlabelled: labels that are not completely labelled here, so that background is no negative for them.
    enclosed: labels that are completely labelled inside the boxes of this image's masked objects. Only images
    without any completely labelled category have some, for example photos of one person with bags.
    """

    path: Path
    size: Size
    annotations: tuple[Annotation, ...]
    unlabelled: frozenset[int]
    enclosed: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Collection:
    """The content of COCO files; a label's number is its place in `labels`."""

    labels: tuple[Label, ...]
    pictures: tuple[Picture, ...]


def read_collection(file: Path, images: Path, *, trust_absence: bool = True) -> Collection:
    """The collection of a COCO file whose pictures are in the folder `images`.

    trust_absence: a picture's `assumed_absent_category_ids` give negatives.
    Raises DataRefused that names the annotations, if the file has faults.
    """
    content, faults = clean_content(read_content(file), images, file)
    refuse_faults(faults)
    return build_collection(content, images, trust_absence=trust_absence)


def build_collection(content: Mapping[str, Any], images: Path, *, trust_absence: bool = True) -> Collection:
    """The collection of a COCO file's content, after `clean_content`."""
    labels = tuple(Label(category_id=item["id"], name=item["name"]) for item in content["categories"])
    numbers = {label.category_id: number for number, label in enumerate(labels)}
    objects: defaultdict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for item in content["annotations"]:
        objects[item["image_id"]].append(item)
    enclosed = _enclosed_labels(content)
    pictures = tuple(
        Picture(
            path=images / entry["file_name"],
            size=(size := Size(entry["height"], entry["width"])),
            annotations=tuple(_read_annotation(item, numbers, size) for item in objects[entry["id"]]),
            unlabelled=_unlabelled_labels(entry, numbers, trust_absence=trust_absence),
            enclosed=frozenset(numbers[item] for item in enclosed) if _is_open(entry) else frozenset(),
        )
        for entry in content["images"]
    )
    return Collection(labels, pictures)


def _read_annotation(item: Mapping[str, Any], numbers: Mapping[int, int], size: Size) -> Annotation:
    x, y, width, height = map(float, item["bbox"])
    return Annotation(
        label=numbers[item["category_id"]],
        box_xywh=(x, y, width, height),
        counts=encode_segmentation(item.get("segmentation"), size),
        ignored=bool(item.get("iscrowd", 0)),
    )


def _unlabelled_labels(
    entry: Mapping[str, Any], numbers: Mapping[int, int], *, trust_absence: bool
) -> frozenset[int]:
    if "exhaustive_category_ids" not in entry:
        return frozenset()
    spoken = set(entry["exhaustive_category_ids"])
    if trust_absence:
        spoken |= set(entry.get("assumed_absent_category_ids", ()))
    return frozenset(number for category, number in numbers.items() if category not in spoken)


def _is_open(entry: Mapping[str, Any]) -> bool:
    """True if no category is completely labelled in the image."""
    return entry.get("exhaustive_category_ids") == []


def _enclosed_labels(content: Mapping[str, Any]) -> set[int]:
    """The ids of categories that have masks in open images."""
    images = {entry["id"] for entry in content["images"] if _is_open(entry)}
    return {
        item["category_id"]
        for item in content["annotations"]
        if item["image_id"] in images and item.get("segmentation")
    }
