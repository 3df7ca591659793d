"""A models folder of toys, and what a catalog makes of it."""

from pathlib import Path
from typing import Any

import pytest

from service.backends import BackendChoice
from service.catalog import Catalog
from service.images import Limits


@pytest.fixture
def add(write_toy: Any, toy_files: Any, tmp_path: Path) -> Any:
    """Writes a toy into tmp_path / place."""
    only = {("onnx", "fp32"): toy_files["onnx", "fp32"]}

    def write(place: str, name: str, version: str = "1") -> Path:
        folder: Path = write_toy(tmp_path / place, files=only, name=name, version=version)
        return folder

    return write


def load(models_dir: Path, default: str | None = None) -> Catalog:
    return Catalog.load(models_dir, default=default, choice=BackendChoice(), limits=Limits())


def rewrite(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def names(catalog: Catalog) -> list[tuple[str, str]]:
    return [(each.card.name, each.card.version) for each in catalog.models()]
