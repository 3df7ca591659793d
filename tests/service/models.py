"""A models folder of toy models, and its catalog."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from service.inference.backends import BackendChoice
from service.inference.images import Limits
from service.inference.segmenter import open_model
from service.serving.catalog import Catalog
from service.serving.repository import OpenModel


@pytest.fixture
def add(write_toy: Any, toy_files: Any, tmp_path: Path) -> Any:
    """Writes a toy into tmp_path / place."""
    only = {("onnx", "fp32"): toy_files["onnx", "fp32"]}

    def write(place: str, name: str, version: str = "1") -> Path:
        folder: Path = write_toy(tmp_path / place, files=only, name=name, version=version)
        return folder

    return write


def load(models_dir: Path, default: str | None = None, opener: OpenModel = open_model) -> Catalog:
    return Catalog.load(
        models_dir, default=default, choice=BackendChoice(), limits=Limits(), open_model=opener
    )


def rewrite(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def names(catalog: Catalog) -> list[tuple[str, str]]:
    return [(each.card.name, each.card.version) for each in catalog.models()]


def copy_with_fast_int8(toy_folder: Path, folder: Path) -> Path:
    """The toy with an INT8 that its card calls the fastest, so that it is the one chosen."""
    shutil.copytree(toy_folder, folder)
    card = json.loads((folder / "card.json").read_text())
    for file in card["files"]:
        figures = {"mask_ap": 0.3, "mask_ap50": 0.5, "box_ap": 0.3}
        file["accuracy"] = {"data": "-", "command": "-", "images": 1, **figures}
        milliseconds = 1.0 if file["precision"] == "int8" else 2.0
        file["latency"] = {"hardware": "-", "threads": 1, "milliseconds": milliseconds}
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def spoil_int8(folder: Path) -> None:
    """Make every INT8 file of the model fail its self-test."""
    golden = json.loads((folder / "golden.json").read_text())
    golden["tolerance"]["int8"] = 1e-9
    (folder / "golden.json").write_text(json.dumps(golden))
