"""What a run learns from and is judged by, read from a folder and found good."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training.annotations import Collection, collect
from training.faults import BadData, DataRefused, Fault, clean_content, read_content, refuse_faults
from training.folder import Split, find_split, find_whole

HELD_OUT = 5  # of so many pictures one is kept to judge by, where a set has no val split


@dataclass(frozen=True, slots=True)
class Exam:
    """The pictures a network is judged by: a COCO file's content, and the folder of its images."""

    content: Mapping[str, Any]
    images: Path
    origin: str  # for people: where these pictures are from


@dataclass(frozen=True, slots=True)
class Material:
    """`faults` are what was left out of either; `image_ids` those of the lessons."""

    lessons: Collection
    exam: Exam
    faults: tuple[Fault, ...] = ()
    image_ids: frozenset[int] = frozenset()


def read_material(data: Path | Sequence[Path], bad_data: BadData, *, trust_absence: bool = True) -> Material:
    """The train split of a folder and its val split, or else a fifth of its pictures held out.

    data: where it is several folders, the first one gives the pictures to judge by, and the network learns
    from the train splits of all. Their categories have to be the same, their image ids different.
    trust_absence: see `annotations.read_collection`.
    Raises FileNotFoundError where a folder is not laid out as a COCO set, DataRefused where the data is bad
    and is not to be skipped, where the folders do not fit each other, or where nothing is left of them.
    """
    first, *others = [data] if isinstance(data, Path) else data
    material = _read_folder(first, bad_data, trust_absence=trust_absence)
    for folder in others:
        material = _add_folder(material, folder, bad_data, trust_absence=trust_absence)
    if (
        not any(picture.annotations for picture in material.lessons.pictures)
        or not material.exam.content["images"]
    ):
        raise DataRefused(f"{first} has no objects to learn from, or no picture to judge by")
    return material


def _read_folder(data: Path, bad_data: BadData, *, trust_absence: bool) -> Material:
    learn = find_lessons(data)
    content, faults = clean_content(read_content(learn.annotations), learn.images)
    try:
        judge = find_split(data, "val")
    except FileNotFoundError:
        content, held_out = hold_out(content)
        exam = Exam(held_out, learn.images, f"one of {HELD_OUT} pictures, held out")
    else:
        judged, more = clean_content(read_content(judge.annotations), judge.images)
        exam, faults = Exam(judged, judge.images, "val split"), faults + more
    if bad_data == "refuse":
        refuse_faults(faults)
    ids = frozenset(entry["id"] for entry in content["images"])
    return Material(collect(content, learn.images, trust_absence=trust_absence), exam, faults, ids)


def _add_folder(material: Material, data: Path, bad_data: BadData, *, trust_absence: bool) -> Material:
    """The material with the train split of one more folder."""
    learn = find_lessons(data)
    content, faults = clean_content(read_content(learn.annotations), learn.images)
    if bad_data == "refuse":
        refuse_faults(faults)
    added = collect(content, learn.images, trust_absence=trust_absence)
    if added.labels != material.lessons.labels:
        raise DataRefused(f"{learn.annotations} has other categories than the first --data folder")
    used = material.image_ids | {entry["id"] for entry in material.exam.content["images"]}
    ids = frozenset(entry["id"] for entry in content["images"])
    if shared := sorted(used & ids):
        raise DataRefused(
            f"{learn.annotations} has image ids that another --data folder has too, as {shared[0]}: "
            "the folders may hold the same pictures"
        )
    lessons = Collection(added.labels, material.lessons.pictures + added.pictures)
    return replace(
        material, lessons=lessons, faults=material.faults + faults, image_ids=material.image_ids | ids
    )


def find_lessons(data: Path) -> Split:
    """The train split, or all of a set that is not split; raises FileNotFoundError."""
    try:
        return find_split(data, "train")
    except FileNotFoundError as error:
        try:
            return find_whole(data)
        except FileNotFoundError:
            raise error from None


def hold_out(content: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The content in two: what is learnt from, and a fifth of the pictures, one at least, to judge by.

    Which these are depends on their file names alone, so that it is the same for every run. A set of one
    picture is judged by that picture.
    """
    names = sorted((entry["file_name"] for entry in content["images"]), key=_shuffle_key)
    count = max(1, len(names) // HELD_OUT)
    return _keep(content, set(names[count:] or names)), _keep(content, set(names[:count]))


def _shuffle_key(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _keep(content: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    images = [entry for entry in content["images"] if entry["file_name"] in names]
    ids = {entry["id"] for entry in images}
    objects = [item for item in content["annotations"] if item["image_id"] in ids]
    return {**content, "images": images, "annotations": objects}
