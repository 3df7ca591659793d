"""The notes that exporters leave in their files: class names, canvas, task.

Ultralytics and YOLOv5 write them into an ONNX file's metadata, values as the text of Python literals, and
into a zip that they append to a TFLite file, as a Python dict or, since version 8.4, as JSON. Nothing is
evaluated: `ast.literal_eval` reads literals only.
"""

import ast
import io
import json
import unicodedata
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.types import Size

_MOST_BYTES = 4_000_000  # of one entry: the names of 20,000 classes have half of that
_UNPRINTED = frozenset({"Cc", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Metadata:
    """The parts of an exporter's notes that an import uses; None or empty where the file says nothing.

    names: class name by class number. canvas: the size that the file was exported for. task: "segment",
    "detect", ... exporter, licence: as the file names them.
    """

    names: Mapping[int, str] | None = None
    canvas: Size | None = None
    task: str = ""
    exporter: str = ""
    licence: str = ""


def parse_metadata(notes: Mapping[str, Any]) -> Metadata:
    """The metadata of notes whose values are texts or already parsed.

    >>> parse_metadata({"names": "{0: 'cat', 1: 'dog'}", "imgsz": "[320, 640]"}).canvas
    Size(height=320, width=640)
    """
    return Metadata(
        names=_read_names(_parse_literal(notes.get("names"))),
        canvas=_read_canvas(_parse_literal(notes.get("imgsz"))),
        task=str(notes.get("task", "")),
        exporter=str(notes.get("description", notes.get("author", ""))),
        licence=str(notes.get("license", "")),
    )


def read_appended_zip(content: bytes) -> Metadata:
    """The metadata in a zip at the end of a TFLite file; empty where there is none."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                if entry.filename in ("temp_meta.txt", "metadata.json") and entry.file_size <= _MOST_BYTES:
                    notes = _parse_literal(archive.read(entry).decode("utf-8", "replace"))
                    return parse_metadata(notes) if isinstance(notes, dict) else Metadata()
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError):  # zipfile raises all of these
        pass
    return Metadata()


def _parse_literal(value: Any) -> Any:
    """The value of a Python or JSON literal; other texts and other values as they are."""
    if not isinstance(value, str):
        return value
    for parse in (ast.literal_eval, json.loads):
        try:
            return parse(value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return value


def _read_names(value: Any) -> dict[int, str] | None:
    """Names by number of a dict (JSON has texts for its keys) or a list."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    try:
        return {int(number): str(name) for number, name in pairs} or None
    except (TypeError, ValueError):
        return None


def _read_canvas(value: Any) -> Size | None:
    """A size of [height, width], or of one side."""
    sides = [value, value] if isinstance(value, int) else value
    if not isinstance(sides, list | tuple) or len(sides) != 2:
        return None
    height, width = sides
    fits = all(isinstance(side, int) and side > 0 for side in sides)
    return Size(height, width) if fits else None


def clean_name(name: str) -> str:
    """A class name as a card allows it: without commas, line breaks and spaces at its ends.

    >>> clean_name(" Bow, compound\\n")
    'Bow; compound'
    """
    kept = (" " if unicodedata.category(letter) in _UNPRINTED else letter for letter in name)
    return " ".join("".join(kept).replace(",", ";").split())[:200].strip()
