"""The files of labelling tools, for the command `predict --format`.

A writer is a pure function: it gives the contents of the files by their names.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from xml.etree import ElementTree

import numpy as np

from service.dialects.outlines import outline_instance
from service.errors import InvalidOption
from service.inference.card import Label
from service.inference.predict import name_apart
from service.types import Instance, Segmentation, Size

Format: TypeAlias = Literal["coco", "yolo-seg", "labelme", "voc", "cvat"]
Files: TypeAlias = dict[str, str]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture with its answer; `stem` names its own file where the format has one for each picture."""

    image: Path
    stem: str
    found: Segmentation


@dataclass(frozen=True, slots=True)
class Style:
    """labels: all labels of the model, in its order. tolerance: of the outlines, in pixels."""

    labels: Sequence[Label]
    tolerance: float


def name_pictures(answers: Sequence[tuple[Path, Segmentation]]) -> list[Labelled]:
    """The pictures with their answers, each under a name of its own."""
    stems = name_apart([image for image, _ in answers])
    return [Labelled(image, stem, found) for stem, (image, found) in zip(stems, answers, strict=True)]


def write_annotations(folder: Path, form: Format, pictures: Sequence[Labelled], style: Style) -> None:
    """Writes the files of a format; missing folders are made. Raises InvalidOption where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in WRITERS[form](pictures, style).items():
            (folder / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise InvalidOption(f"--labels {folder}: {(error.strerror or str(error)).lower()}") from error


def write_coco(pictures: Sequence[Labelled], style: Style) -> Files:
    """A data set in COCO's format: instances.json."""
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for number, picture in enumerate(pictures, 1):
        size = picture.found.image
        images.append(
            {"id": number, "file_name": picture.image.name, "height": size.height, "width": size.width}
        )
        for instance in picture.found.instances:
            outline = outline_instance(instance, size, style.tolerance)
            annotation = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": instance.category_id,
                "segmentation": [outline.reshape(-1).tolist()],
                "bbox": list(instance.bbox),
                "area": instance.area if instance.area is not None else instance.bbox[2] * instance.bbox[3],
                "iscrowd": 0,
                "score": instance.score,
            }
            annotations.append(annotation)
    categories = [{"id": label.category_id, "name": label.name} for label in style.labels]
    content = {"images": images, "annotations": annotations, "categories": categories}
    return {"instances.json": json.dumps(content, ensure_ascii=False)}


def write_yolo(pictures: Sequence[Labelled], style: Style) -> Files:
    """A text for each picture, a line for each object: class and outline in shares; and data.yaml."""
    numbers = {label.name: number for number, label in enumerate(style.labels)}
    files = {}
    for picture in pictures:
        size = picture.found.image
        lines = []
        for instance in picture.found.instances:
            outline = outline_instance(instance, size, style.tolerance) / [size.width, size.height]
            shares = " ".join(f"{share:.6f}" for share in np.clip(outline, 0, 1).reshape(-1))
            lines.append(f"{numbers[instance.label]} {shares}\n")
        files[f"{picture.stem}.txt"] = "".join(lines)
    names = [f"  {number}: {json.dumps(name, ensure_ascii=False)}\n" for name, number in numbers.items()]
    return {**files, "data.yaml": "names:\n" + "".join(names)}


def write_labelme(pictures: Sequence[Labelled], style: Style) -> Files:
    """A JSON for each picture, to be opened beside it in labelme."""
    return {f"{picture.stem}.json": _write_labelme(picture, style) for picture in pictures}


def _write_labelme(picture: Labelled, style: Style) -> str:
    size = picture.found.image
    shapes = [
        {
            "label": instance.label,
            "points": outline_instance(instance, size, style.tolerance).astype(float).tolist(),
            "group_id": None,
            "description": f"score {instance.score:.3f}",
            "shape_type": "polygon",
            "flags": {},
        }
        for instance in picture.found.instances
    ]
    content: dict[str, object] = {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": picture.image.name,
        "imageData": None,
        "imageHeight": size.height,
        "imageWidth": size.width,
    }
    return json.dumps(content, ensure_ascii=False)


def write_voc(pictures: Sequence[Labelled], style: Style) -> Files:
    """A Pascal VOC XML for each picture. The format has boxes only, in pixels counted from 1."""
    return {f"{picture.stem}.xml": _write_voc(picture) for picture in pictures}


def _write_voc(picture: Labelled) -> str:
    size = picture.found.image
    root = ElementTree.Element("annotation")
    _add(root, "folder", picture.image.parent.name)
    _add(root, "filename", picture.image.name)
    extent = ElementTree.SubElement(root, "size")
    for name, value in (("width", size.width), ("height", size.height), ("depth", 3)):
        _add(extent, name, value)
    _add(root, "segmented", 0)
    for instance in picture.found.instances:
        found = ElementTree.SubElement(root, "object")
        _add(found, "name", instance.label)
        _add(found, "pose", "Unspecified")
        _add(found, "truncated", 0)
        _add(found, "difficult", 0)
        box = ElementTree.SubElement(found, "bndbox")
        for name, value in zip(
            ("xmin", "ymin", "xmax", "ymax"), _count_from_one(instance, size), strict=True
        ):
            _add(box, name, value)
    return _print_xml(root)


def _count_from_one(instance: Instance, size: Size) -> tuple[int, int, int, int]:
    """First and last pixel of a box each way, as VOC counts them: xyxy."""
    x, y, width, height = instance.bbox
    right, bottom = min(round(x + width), size.width), min(round(y + height), size.height)
    return min(round(x) + 1, right), min(round(y) + 1, bottom), right, bottom


def write_cvat(pictures: Sequence[Labelled], style: Style) -> Files:
    """The annotations of a CVAT task, "CVAT for images 1.1": annotations.xml."""
    root = ElementTree.Element("annotations")
    _add(root, "version", "1.1")
    for number, picture in enumerate(pictures):
        size = picture.found.image
        place = {"id": str(number), "name": picture.image.name}
        place |= {"width": str(size.width), "height": str(size.height)}
        image = ElementTree.SubElement(root, "image", place)
        for instance in picture.found.instances:
            outline = outline_instance(instance, size, style.tolerance).tolist()
            ElementTree.SubElement(
                image,
                "polygon",
                label=instance.label,
                source="auto",
                occluded="0",
                points=";".join(f"{x:.2f},{y:.2f}" for x, y in outline),
                z_order="0",
            )
    return {"annotations.xml": _print_xml(root)}


def _add(parent: ElementTree.Element, name: str, value: object) -> None:
    ElementTree.SubElement(parent, name).text = str(value)


def _print_xml(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


WRITERS: Mapping[Format, Callable[[Sequence[Labelled], Style], Files]] = {
    "coco": write_coco,
    "yolo-seg": write_yolo,
    "labelme": write_labelme,
    "voc": write_voc,
    "cvat": write_cvat,
}
