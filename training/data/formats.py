"""Annotation formats other than COCO's: which are read, and which tool converts the others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.data.labelme import read_labelme
from training.data.validate import read_content
from training.data.yolo import read_yolo

PLACES = (".", "annotations", "Annotations", "labels", "train")
VIA = "save them with VIA's menu Annotation > Export Annotations (COCO format)"
VOC = "convert them with Datumaro: pip install datumaro; datum convert -if voc -i FOLDER -f coco -o NEW"
HEAD = 4096  # bytes that show a format
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
