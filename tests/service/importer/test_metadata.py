"""Exporters' notes: parsed as literals, never evaluated."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from service.importer.metadata import Metadata, clean_name, parse_metadata, read_appended_zip
from service.types import Size

NAMES = {0: "rose", 1: "lily's leaf", 2: 'a "red" one'}


def append_zip(content: bytes, name: str, text: str) -> bytes:
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(name, text)
    return buffer.getvalue()


def test_names_are_read_from_the_repr_of_a_dict_with_quotes_in_it() -> None:
    assert parse_metadata({"names": repr(NAMES)}).names == NAMES


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("temp_meta.txt", repr({"names": NAMES, "imgsz": [320, 640], "task": "segment"})),
        ("metadata.json", json.dumps({"names": NAMES, "imgsz": [320, 640], "task": "segment"})),
    ],
    ids=["python", "json"],
)
def test_a_zip_at_the_end_of_a_file_is_read(name: str, text: str) -> None:
    metadata = read_appended_zip(append_zip(b"\0\0\0\0TFL3" + bytes(500), name, text))
    assert metadata.names == NAMES
    assert metadata.canvas == Size(320, 640)
    assert metadata.task == "segment"


def test_a_file_without_a_zip_has_no_metadata() -> None:
    assert read_appended_zip(b"\0\0\0\0TFL3" + bytes(500)) == Metadata()


def test_code_in_the_notes_is_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "run"
    metadata = parse_metadata({"names": f"__import__('pathlib').Path({str(trap)!r}).touch()"})
    assert metadata.names is None
    assert not trap.exists()


@pytest.mark.parametrize("text", ["{1: [2", "[" * 100_000, "{'a': 'b'}", "7", ""])
def test_names_that_make_no_sense_are_no_names(text: str) -> None:
    assert parse_metadata({"names": text}).names is None


@pytest.mark.parametrize("value", ["[640]", "[0, 640]", "['a', 'b']", "x"])
def test_a_canvas_that_makes_no_sense_is_no_canvas(value: str) -> None:
    assert parse_metadata({"imgsz": value}).canvas is None


def test_one_side_is_a_square_canvas() -> None:
    assert parse_metadata({"imgsz": "640"}).canvas == Size(640, 640)


def test_names_are_cleaned_for_the_card() -> None:
    assert clean_name(" wine, red\n\x00glass ") == "wine; red glass"
