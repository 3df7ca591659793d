"""Where a data set's files lie."""

from dataclasses import dataclass
from pathlib import Path

ALIASES = {"val": ("val", "valid")}  # Roboflow's
WHOLE = ("instances_default.json", "annotations.json", "_annotations.coco.json", "result.json")


@dataclass(frozen=True, slots=True)
class Split:
    """A COCO annotation file and the folder of its images."""

    annotations: Path
    images: Path


def find_split(data: Path, split: str) -> Split:
    """The split of a folder laid out as COCO is: annotations/instances_SPLIT2017.json beside SPLIT2017/.

    The year may be missing, annotation files may lie in the folder itself, all images in images/. Or as
    Roboflow does it: SPLIT/_annotations.coco.json among its images.

    Raises FileNotFoundError that lists where it looked.
    """
    names = [f"{split}2017", split]
    files = [folder / f"instances_{name}.json" for folder in (data / "annotations", data) for name in names]
    for name in ALIASES.get(split, (split,)):
        if (data / name / "_annotations.coco.json").exists():
            return Split(data / name / "_annotations.coco.json", data / name)
    folders = [*(data / name for name in names), *(data / "images" / name for name in names), data / "images"]
    return Split(_first_existing(files), _first_existing(folders))


def find_whole(data: Path) -> Split:
    """A set that is not split, as labelling tools write it: one COCO file, images beside it or in images/.

    Raises FileNotFoundError that lists where it looked.
    """
    files = [folder / name for folder in (data / "annotations", data) for name in WHOLE]
    return Split(_first_existing(files), data / "images" if (data / "images").is_dir() else data)


def _first_existing(places: list[Path]) -> Path:
    for place in places:
        if place.exists():
            return place
    raise FileNotFoundError(
        f"none of these exists: {', '.join(map(str, places))}; training/README.md says how data is laid out"
    )
