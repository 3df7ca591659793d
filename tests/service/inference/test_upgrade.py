import json
import shutil
from pathlib import Path

import pytest

from service.errors import InvalidCard
from service.inference.card import read_card
from service.inference.upgrade import upgrade_card


@pytest.fixture
def folder(toy_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_folder, tmp_path / "toy"))


def test_a_card_of_version_1_says_the_same_in_version_2(folder: Path) -> None:
    before = read_card(folder)
    assert upgrade_card(folder)
    after = read_card(folder)
    assert (before.schema_version, after.schema_version) == (1, 2)
    assert after == before.model_copy(update={"schema_version": 2})
    assert json.loads((folder / "card.json").read_text())["decoder"]["family"] == "centers"


def test_a_card_of_the_newest_version_is_left_alone(folder: Path) -> None:
    upgrade_card(folder)
    written = (folder / "card.json").read_bytes()
    assert not upgrade_card(folder)
    assert (folder / "card.json").read_bytes() == written


def test_a_card_that_contradicts_itself_is_left_alone(folder: Path) -> None:
    path = folder / "card.json"
    path.write_text(path.read_text().replace('"rose"', '"leaf"'))
    written = path.read_bytes()
    with pytest.raises(InvalidCard, match="a label name stands twice"):
        upgrade_card(folder)
    assert path.read_bytes() == written
    assert [each.name for each in folder.iterdir() if each.name.startswith(".")] == []
