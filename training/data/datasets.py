"""The data sets of a run: where their files are, what it trains on, and what it is evaluated on."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from training.data.annotations import Collection, build_collection
from training.data.faults import BadData, DataRefused, Fault, name_reason, refuse_faults
from training.data.formats import is_labelme, name_converter, read_format
from training.data.licences import Licences, keep_commercial
from training.data.validate import clean_content
from training.data.yolo import find_yolo

ALIASES = {"val": ("val", "valid")}  # Roboflow writes "valid"
WHOLE = ("instances_default.json", "annotations.json", "_annotations.coco.json", "result.json")
HELD_OUT = 5  # without a val split, one picture in 5 is held out for evaluation


@dataclass(frozen=True, slots=True)
class Split:
    """The annotations and the folder of their images.

    annotations: a COCO file, the data.yaml of a YOLO set, or a folder with Labelme's files.
    """

    annotations: Path
    images: Path


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """A COCO file's content and the folder of its images; origin: a phrase for reports."""

    content: Mapping[str, Any]
    images: Path
    origin: str


@dataclass(frozen=True, slots=True)
class Datasets:
    """All data of a run; faults: what was left out. image_ids: of the training pictures."""

    training: Collection
    evaluation: EvaluationSet
    faults: tuple[Fault, ...] = ()
    image_ids: frozenset[int] = frozenset()


BuildCollection: TypeAlias = Callable[[Mapping[str, Any], Path], Collection]
Cleaned: TypeAlias = tuple[dict[str, Any], tuple[Fault, ...]]
_remembered: dict[Split, Cleaned] = {}
_recordings: list[dict[Split, Cleaned]] = []


def find_split(data: Path, split: str) -> Split:
    """The files of a split, in COCO's layout, Roboflow's, YOLO's or Labelme's.

    COCO: annotations/instances_SPLIT2017.json and SPLIT2017/. The year may be missing, the annotation file
    may be in the folder itself, and all images may be in images/. Roboflow: SPLIT/_annotations.coco.json
    beside its images. YOLO: data.yaml. Labelme: SPLIT/ with its files.
    Raises FileNotFoundError that lists the places it looked at, or names the converter of another format.
    """
    names = [f"{split}2017", split]
    files = [folder / f"instances_{name}.json" for folder in (data / "annotations", data) for name in names]
    for name in ALIASES.get(split, (split,)):
        if (data / name / "_annotations.coco.json").exists():
            return Split(data / name / "_annotations.coco.json", data / name)
    if not any(file.exists() for file in files):
        if (yolo := find_yolo(data, ALIASES.get(split, (split,)))) is not None:
            return Split(*yolo)
        for name in ALIASES.get(split, (split,)):
            if is_labelme(data / name):
                return Split(data / name, data / name)
    folders = [*(data / name for name in names), *(data / "images" / name for name in names), data / "images"]
    return Split(_first_existing(files, data), _first_existing(folders, data))


def find_training_split(data: Path) -> Split:
    """The train split, or the whole set if it has no splits; raises FileNotFoundError."""
    try:
        return find_split(data, "train")
    except FileNotFoundError as error:
        files = [folder / name for folder in (data / "annotations", data) for name in WHOLE]
        whole = next((file for file in files if file.exists()), None)
        if whole is None and is_labelme(data):
            return Split(data, data)
        if whole is None:
            raise error from None
        return Split(whole, data / "images" if (data / "images").is_dir() else data)


def _first_existing(places: Sequence[Path], data: Path) -> Path:
    found = next((place for place in places if place.exists()), None)
    if found is not None:
        return found
    raise FileNotFoundError(
        name_converter(data)
        or f"none of these exists: {', '.join(map(str, places))}; training/README.md describes the layouts"
    )


def read_datasets(
    data: Path | Sequence[Path],
    bad_data: BadData,
    *,
    trust_absence: bool = True,
    licences: Licences = "all",
) -> Datasets:
    """The train split to train on, and the val split to evaluate on, or else a held-out fifth.

    data: of several folders, the first gives the evaluation set, and all train splits are joined. Their
    categories must be the same, their image ids different.
    trust_absence: see `annotations.build_collection`. licences: "commercial" trains only on photos whose
    licences are known to allow commercial use; the evaluation set stays whole.
    Raises FileNotFoundError if a folder has none of the known layouts, DataRefused if it has faults and
    `bad_data` is "refuse", if the folders do not fit together, or if no usable data is left.
    """
    first, *others = [data] if isinstance(data, Path) else data

    def build(content: Mapping[str, Any], images: Path) -> Collection:
        kept = keep_commercial(content) if licences == "commercial" else content
        return build_collection(kept, images, trust_absence=trust_absence)

    datasets = _read_folder(first, bad_data, build)
    for folder in others:
        datasets = _add_folder(datasets, folder, bad_data, build)
    has_objects = any(picture.annotations for picture in datasets.training.pictures)
    if not has_objects or not datasets.evaluation.content["images"]:
        reason = f"{first} has no objects to train on, or no picture to evaluate on"
        raise DataRefused(name_reason(reason, datasets.faults))
    return datasets


def _read_folder(data: Path, bad_data: BadData, build: BuildCollection) -> Datasets:
    split = find_training_split(data)
    content, faults = clean_split(split)
    try:
        val = find_split(data, "val")
    except FileNotFoundError:
        content, held_out = hold_out(content)
        evaluation = EvaluationSet(held_out, split.images, f"one of {HELD_OUT} pictures, held out")
    else:
        val_content, val_faults = clean_split(val)
        evaluation, faults = EvaluationSet(val_content, val.images, "val split"), faults + val_faults
    if bad_data == "refuse":
        refuse_faults(faults)
    training = build(content, split.images)
    return Datasets(training, evaluation, faults, _image_ids(content))


def _add_folder(datasets: Datasets, data: Path, bad_data: BadData, build: BuildCollection) -> Datasets:
    """The data sets with the training pictures of one more folder."""
    split = find_training_split(data)
    content, faults = read_split(split, bad_data)
    added = build(content, split.images)
    if added.labels != datasets.training.labels:
        raise DataRefused(f"{split.annotations} has other categories than the first --data folder")
    ids = _image_ids(content) if split.annotations.suffix == ".json" else frozenset()  # others have none
    if shared := sorted(ids & (datasets.image_ids | _image_ids(datasets.evaluation.content))):
        raise DataRefused(
            f"image id {shared[0]} of {split.annotations} is also in another --data folder: "
            "the folders may hold the same pictures"
        )
    return replace(
        datasets,
        training=Collection(added.labels, datasets.training.pictures + added.pictures),
        faults=datasets.faults + faults,
        image_ids=datasets.image_ids | ids,
    )


def read_split(split: Split, bad_data: BadData) -> tuple[dict[str, Any], tuple[Fault, ...]]:
    """A split's content without its faulty parts, and the faults.

    Raises DataRefused if it has faults and `bad_data` is "refuse", or if no usable picture is left.
    """
    content, faults = clean_split(split)
    if bad_data == "refuse":
        refuse_faults(faults)
    if not content["images"]:
        raise DataRefused(name_reason(f"{split.annotations} has no usable picture", faults))
    return content, faults


@contextmanager
def remembered_splits() -> Iterator[None]:
    """Remembers the splits that are read inside, so that the next reading of each takes no time."""
    read: dict[Split, Cleaned] = {}
    _recordings.append(read)
    try:
        yield
    finally:
        _recordings.pop()
    _remembered.update(read)


def clean_split(split: Split) -> Cleaned:
    """A split's content without its faulty parts, and the faults."""
    cleaned = _remembered.pop(split, None)
    if cleaned is None:
        content = read_format(split.annotations, split.images)
        cleaned = clean_content(content, split.images, split.annotations)
    for read in _recordings:
        read[split] = cleaned
    return cleaned


def _image_ids(content: Mapping[str, Any]) -> frozenset[int]:
    return frozenset(entry["id"] for entry in content["images"])


def hold_out(content: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The content in two parts: to train on, and a fifth of the pictures (at least one) to evaluate on.

    The choice depends on the file names alone, so that every run makes the same one. A set of one picture is
    evaluated on that picture.
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
