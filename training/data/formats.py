"""Annotation formats other than COCO's: Labelme is read here, YOLO in `yolo`, a tool converts the others.

Labelme writes one JSON file beside each picture.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from math import cos, hypot, pi, sin
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from service.types import Size
from training.data.faults import Record, as_id, is_number, is_sequence
from training.data.masks import mask_to_rle
from training.data.validate import read_content
from training.data.yolo import read_yolo

PLACES = (".", "annotations", "Annotations", "labels", "train")
VIA = "save them with VIA's menu Annotation > Export Annotations (COCO format)"
VOC = "convert them with Datumaro: pip install datumaro; datum convert -if voc -i FOLDER -f coco -o NEW"
HEAD = 4096  # bytes that show a format
CORNERS = 64  # of the polygon that stands for a circle
CONVERTERS = {"VGG Image Annotator (VIA)": VIA, "Pascal VOC": VOC}


def read_format(annotations: Path, images: Path) -> dict[str, Any]:
    """The content of an annotation file or folder as that of a COCO file; raises DataRefused."""
    if annotations.is_dir():
        return read_labelme(annotations)
    if annotations.suffix in (".yaml", ".yml"):
        return read_yolo(annotations, images)
    return read_content(annotations)


def name_converter(data: Path) -> str:
    """A sentence that names the converter of annotations which are not read here; empty if there are none."""
    for place in PLACES:
        folder = data / place
        for name, is_format in (("Pascal VOC", _is_voc), ("VGG Image Annotator (VIA)", _is_via)):
            file = next((file for file in _list_files(folder) if is_format(file)), None)
            if file is not None:
                return f"{file} is in the format of {name}, which is not read here: {CONVERTERS[name]}"
    return ""


def _list_files(folder: Path) -> Iterator[Path]:
    """Up to a few files of a folder that may hold annotations."""
    for suffix in ("*.xml", "*.json"):
        yield from sorted(folder.glob(suffix))[:5]


def _is_voc(file: Path) -> bool:
    return file.suffix == ".xml" and b"<annotation" in _read_head(file)


def _is_via(file: Path) -> bool:
    head = _read_head(file)
    is_project = b'"_via_settings"' in head or b'"_via_img_metadata"' in head
    return file.suffix == ".json" and (is_project or (b'"regions"' in head and b'"filename"' in head))


def _read_head(file: Path) -> bytes:
    """The first bytes: annotation files may be large."""
    with file.open("rb") as stream:
        return stream.read(HEAD)


def is_labelme(folder: Path) -> bool:
    """True if a JSON file of the folder is one of Labelme's."""
    return next(_read_files(folder), None) is not None


def read_labelme(folder: Path) -> dict[str, Any]:
    """The content of a folder; a shape that Labelme's users draw in parts is one object by its group_id."""
    images: list[Record] = []
    objects: list[dict[str, Any]] = []
    records = [
        (file, record, list(_group_shapes(record.get("shapes")))) for file, record in _read_files(folder)
    ]
    names = sorted({label for _, _, groups in records for label, _ in groups})
    labels = {name: number for number, name in enumerate(names, 1)}
    for file, record, groups in records:
        number = len(images) + 1
        images.append(_describe_picture(file, record, number))
        size = Size(as_id(record.get("imageHeight")) or 1, as_id(record.get("imageWidth")) or 1)
        for place, (label, shapes) in enumerate(groups, 1):
            item = {"id": f"{file.name}:{place}", "image_id": number, "category_id": labels[label]}
            objects.append(item | _describe_shapes(shapes, size))
    categories = [{"id": number, "name": name} for name, number in labels.items()]
    return {"images": images, "annotations": objects, "categories": categories}


def _read_files(folder: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The JSON files of a folder that hold a Labelme record."""
    for file in sorted(folder.glob("*.json")):
        try:
            record = json.loads(file.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(record, Mapping) and "shapes" in record and "imagePath" in record:
            yield file, record


def _describe_picture(file: Path, record: Record, number: int) -> dict[str, Any]:
    name = record.get("imagePath") or file.stem
    size = {"height": record.get("imageHeight"), "width": record.get("imageWidth")}
    return {"id": number, "file_name": name, **size}


def _group_shapes(shapes: Any) -> Iterator[tuple[str, list[Record]]]:
    """The shapes of each object, with its label."""
    groups: dict[object, list[Record]] = {}
    for place, shape in enumerate(shapes if is_sequence(shapes) else ()):
        if isinstance(shape, Mapping):
            group = shape.get("group_id")
            key = ("alone", place) if group is None else (str(shape.get("label")), str(group))
            groups.setdefault(key, []).append(shape)
    for found in groups.values():
        yield str(found[0].get("label")), found


def _describe_shapes(shapes: Sequence[Record], size: Size) -> dict[str, Any]:
    """The annotation fields of an object's shapes; `segmentation` is no mask if they are of another kind."""
    kinds = {str(shape.get("shape_type", "polygon")) for shape in shapes}
    if kinds == {"rectangle"}:
        return {"bbox": _bound_points(shapes), "segmentation": [], "box_only": True}
    if kinds == {"mask"}:
        return {"segmentation": _merge_masks(shapes, size)}
    if kinds <= {"polygon", "circle"}:
        return {"segmentation": [_outline_shape(shape) for shape in shapes]}
    return {"segmentation": f"shapes of the type {', '.join(sorted(kinds))}"}


def _outline_shape(shape: Record) -> list[float]:
    """The points x, y, x, y, ... of a polygon, or around a circle; none if they cannot be read."""
    points = _read_points(shape)
    if shape.get("shape_type") != "circle" or len(points) != 2:
        return [value for point in points for value in point]
    (x, y), (edge_x, edge_y) = points
    radius = hypot(edge_x - x, edge_y - y)
    angles = [2 * pi * corner / CORNERS for corner in range(CORNERS)]
    return [value for angle in angles for value in (x + radius * cos(angle), y + radius * sin(angle))]


def _bound_points(shapes: Sequence[Record]) -> list[float] | None:
    points = [point for shape in shapes for point in _read_points(shape)]
    if not points:
        return None
    left, top = (min(point[axis] for point in points) for axis in (0, 1))
    right, bottom = (max(point[axis] for point in points) for axis in (0, 1))
    return [left, top, right - left, bottom - top]


def _read_points(shape: Record) -> list[tuple[float, float]]:
    points: Any = shape.get("points")
    is_good = is_sequence(points) and all(
        is_sequence(point) and len(point) == 2 and all(map(is_number, point)) for point in points
    )
    return [(float(x), float(y)) for x, y in points] if is_good else []


def _merge_masks(shapes: Sequence[Record], size: Size) -> dict[str, Any] | str:
    """The RLE of Labelme's masks, which are PNG files in base64, each with the corner of its box."""
    merged = np.zeros((size.height, size.width), np.uint8)
    for shape in shapes:
        points = _read_points(shape)
        try:
            data = np.frombuffer(base64.b64decode(shape.get("mask") or ""), np.uint8)
            mask = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size and points else None
        except (TypeError, ValueError, cv2.error):
            mask = None
        if mask is None:
            return "a mask that cannot be read"
        top, left = max(0, round(points[0][1])), max(0, round(points[0][0]))
        part = merged[top : top + mask.shape[0], left : left + mask.shape[1]]
        part |= (mask[: part.shape[0], : part.shape[1]] > 0).astype(np.uint8)
    return mask_to_rle(merged)
