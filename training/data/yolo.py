"""Folders in YOLO's segmentation format, read as a COCO file's content.

`data.yaml` names the classes and the folder of each split's pictures. Beside a folder `images` there is a
folder `labels` with a text file for each picture. Each of its lines is an object: the number of its class,
and its polygon as x y x y ... in shares of the picture's width and height, or the middle and size of its box.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from service.types import Size
from training.data.faults import DataRefused, Record, as_id
from training.data.pictures import PictureFailed, read_header

NAMES = ("data.yaml", "data.yml", "dataset.yaml")
SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
BOX_VALUES = 4


def find_yolo(data: Path, splits: Sequence[str]) -> tuple[Path, Path] | None:
    """data.yaml and the folder of a split's pictures; None if there is no such split.

    splits: the names that the split may have. Raises DataRefused if data.yaml names a folder that is missing.
    """
    file = next((data / name for name in NAMES if (data / name).is_file()), None)
    if file is None:
        return None
    content = read_yaml(file)
    for split in splits:
        place = content.get(split)
        if not place:
            continue
        folders = list(_spell_folders(data, content, str(place)))
        found = next((folder for folder in folders if folder.is_dir()), None)
        if found is None:
            raise DataRefused(
                f"{file} names {place} for {split}, which is no folder: {folders[0]} is missing"
            )
        return file, found
    return None


def _spell_folders(data: Path, content: Record, place: str) -> Iterator[Path]:
    """The folders that a split's path may mean: Roboflow's paths begin with `..`, others are absolute."""
    yield data / str(content.get("path") or "") / place
    yield data / place
    parts = [part for part in place.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    for start in range(len(parts)):
        yield data.joinpath(*parts[start:])


def read_yaml(file: Path) -> dict[str, Any]:
    """The content of data.yaml; raises DataRefused if it is not one."""
    try:
        content = yaml.safe_load(file.read_bytes())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataRefused(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not isinstance(content.get("names"), dict | list):
        raise DataRefused(f"{file} is not the data.yaml of a YOLO data set: it has no names")
    return content


def read_yolo(file: Path, images: Path) -> dict[str, Any]:
    """The content of a split with its pictures in `images`; one without a text file has no objects."""
    names = read_yaml(file)["names"]
    named = names.items() if isinstance(names, Mapping) else enumerate(names)
    entries: list[Record] = []
    objects: list[Record] = []
    for path in sorted(path for path in images.rglob("*") if path.suffix.casefold() in SUFFIXES):
        number, size = len(entries) + 1, _measure(path)
        sides = {"height": size.height, "width": size.width}
        entries.append({"id": number, "file_name": path.relative_to(images).as_posix(), **sides})
        for line, text in _read_lines(_find_labels(path)):
            item = {"id": f"{path.stem}.txt:{line}", "image_id": number}
            objects.append(item | describe_line(text, size))
    categories = [{"id": as_id(number), "name": name} for number, name in named]
    return {"images": entries, "annotations": objects, "categories": categories}


def _measure(path: Path) -> Size:
    """The size of the upright picture; of one pixel if it cannot be read, which its check then says."""
    try:
        return read_header(path).upright
    except PictureFailed:
        return Size(1, 1)


def _find_labels(path: Path) -> Path:
    """The text file of a picture: the last folder `images` of its path is `labels`."""
    parts = list(path.parent.parts)
    places = [place for place, part in enumerate(parts) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return Path(*parts) / f"{path.stem}.txt"


def _read_lines(file: Path) -> list[tuple[int, str]]:
    text = file.read_text(errors="replace") if file.is_file() else ""
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def describe_line(text: str, size: Size) -> dict[str, Any]:
    """The annotation fields of a line.

    >>> describe_line("2 0.5 0.5 0.2 0.4", Size(100, 200))["bbox"]
    [80.0, 30.0, 40.0, 40.0]
    >>> describe_line("2 0 0 1 0 1 0.5", Size(100, 200))["segmentation"]
    [[0.0, 0.0, 200.0, 0.0, 200.0, 50.0]]
    """
    first, *rest = text.split()
    try:
        values = [float(word) for word in rest]
    except ValueError:
        values = []
    category = {"category_id": as_id(first)}
    if len(values) == BOX_VALUES:
        x, y, width, height = values
        left, top = (x - width / 2) * size.width, (y - height / 2) * size.height
        bbox = [round(side, 6) for side in (left, top, width * size.width, height * size.height)]
        return category | {"bbox": bbox, "segmentation": [], "box_only": True}
    scales = [size.width, size.height] * (len(values) // 2 + 1)
    ring = [value * scale for value, scale in zip(values, scales, strict=False)]
    return category | {"segmentation": [ring]}
