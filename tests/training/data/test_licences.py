"""Photos with licences that do not allow commercial use are counted, and left out on demand."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from training.commands import app
from training.data.datasets import find_split, read_datasets, read_split
from training.data.faults import DataRefused
from training.data.licences import allows_commercial_use, keep_commercial
from training.data.shrink import shrink_set

LISTED = [
    {"id": 1, "name": "Attribution-NonCommercial", "url": "http://creativecommons.org/licenses/by-nc/2.0/"},
    {"id": 4, "name": "Attribution", "url": "http://creativecommons.org/licenses/by/2.0/"},
]


def set_licences(folder: Path, numbers: list[Any], *, listed: Any = LISTED) -> None:
    """Gives the images of the set these licences, in their order."""
    file = find_split(folder, "train").annotations
    content = json.loads(file.read_text())
    for entry, number in zip(content["images"], numbers, strict=True):
        entry["license"] = number
    file.write_text(json.dumps({**content, "licenses": listed}))


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("https://creativecommons.org/licenses/by/4.0/", True),
        ("http://creativecommons.org/licenses/by-sa/2.0/", True),
        ("https://creativecommons.org/publicdomain/zero/1.0/", True),
        ("http://flickr.com/commons/usage/", True),
        ("http://www.usa.gov/copyright.shtml", True),
        ("http://creativecommons.org/licenses/by-nc-sa/2.0/", False),
        ("http://creativecommons.org/licenses/by-nd/2.0/", False),
        ("https://example.org/?see=https://creativecommons.org/licenses/by/4.0/", False),
        ("https://cocodataset.org/#termsofuse", False),
        (None, False),
    ],
)
def test_only_known_terms_count(address: str | None, allowed: bool) -> None:
    assert allows_commercial_use({"id": 1, "url": address}) is allowed


def test_a_run_leaves_out_other_photos(tiny_set: Path) -> None:
    file = find_split(tiny_set, "train").annotations
    shutil.copy(file, file.with_name("instances_val.json"))
    set_licences(tiny_set, [1, 4])
    datasets = read_datasets(tiny_set, "refuse", licences="commercial")
    assert len(datasets.evaluation.content["images"]) == 2
    names = [picture.path.name for picture in datasets.training.pictures]
    everything = read_split(find_split(tiny_set, "train"), "refuse")[0]
    assert names == [entry["file_name"] for entry in everything["images"] if entry["license"] == 4]


def test_objects_of_other_photos_go_with_them(tiny_set: Path) -> None:
    set_licences(tiny_set, [1, 4])
    content, _ = read_split(find_split(tiny_set, "train"), "refuse")
    kept = keep_commercial(content)
    assert {item["image_id"] for item in kept["annotations"]} == {entry["id"] for entry in kept["images"]}
    assert len(kept["annotations"]) < len(content["annotations"])


@pytest.mark.parametrize("listed", [[], None, "CC", [{"url": 4}], LISTED])
def test_photos_without_known_terms_are_refused_in_a_sentence(tiny_set: Path, listed: Any) -> None:
    set_licences(tiny_set, [[], None], listed=listed)
    with pytest.raises(DataRefused, match="known to allow commercial use"):
        read_datasets(tiny_set, "skip", licences="commercial")


def test_a_smaller_copy_holds_only_allowed_photos(tiny_set: Path, tmp_path: Path) -> None:
    set_licences(tiny_set, [1, 4])
    for folder, licences in (("all", "all"), ("some", "commercial")):
        list(shrink_set(tiny_set, tmp_path / folder, 64, licences=licences))  # type: ignore[arg-type]
    counts = {
        name: len(json.loads((tmp_path / name / "instances_train.json").read_text())["images"])
        for name in ("all", "some")
    }
    assert counts == {"all": 2, "some": 1}


def test_the_table_counts_photos(tiny_set: Path) -> None:
    set_licences(tiny_set, [4, None])
    file = find_split(tiny_set, "train").annotations
    printed = CliRunner().invoke(app, ["licences", str(file)], env={"COLUMNS": "120"}).output
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in printed.splitlines()]
    assert ["4", "Attribution", "1", "allowed"] in rows
    assert ["", "none named", "1", "not known to be allowed"] in rows
