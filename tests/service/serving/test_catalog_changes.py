"""The catalog after a change of its folder, or after an admin's load or unload."""

import shutil
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import InvalidCard, ModelNotFound, ModelRefused
from service.types import Options
from tests.service.models import add, load, names, rewrite

__all__ = ["add"]  # a fixture


def test_a_look_at_an_unchanged_folder_changes_nothing(add: Any, tmp_path: Path) -> None:
    add("a", "ash")
    (add("b", "birch") / "fp32.onnx").unlink()
    catalog = load(tmp_path)
    assert catalog.refreshed() is catalog


def test_a_new_folder_is_found_and_one_that_is_gone_left_out(add: Any, tmp_path: Path) -> None:
    add("a", "ash")
    before = load(tmp_path)
    add("b", "birch")
    after = before.refreshed()
    assert names(before) == [("ash", "1")]
    assert names(after) == [("ash", "1"), ("birch", "1")]
    assert after.get("ash") is before.get("ash")
    shutil.rmtree(tmp_path / "b")
    assert names(after.refreshed()) == [("ash", "1")]


def test_a_changed_folder_is_opened_anew_and_the_old_model_lives_as_long_as_somebody_holds_it(
    add: Any, tmp_path: Path
) -> None:
    folder = add("a", "ash")
    catalog = load(tmp_path)
    held = catalog.get()
    old = weakref.ref(held)
    rewrite(folder / "card.json", "a toy", "another toy")
    catalog = catalog.refreshed()
    assert catalog.get().card.description == "another toy"
    assert held.segment_pixels(np.zeros((9, 9, 3), np.uint8), Options()).model == "ash"
    del held
    assert old() is None


def test_a_version_in_place_of_another_takes_over(add: Any, tmp_path: Path) -> None:
    folder = add("a", "ash", "1")
    catalog = load(tmp_path)
    rewrite(folder / "card.json", '"version": "1"', '"version": "2"')
    assert names(catalog.refreshed()) == [("ash", "2")]


@pytest.mark.parametrize("name", ["fp32.onnx", "card.json", "golden.json"])
def test_a_model_that_breaks_while_it_serves_goes_on_and_the_reason_is_told(
    add: Any, tmp_path: Path, name: str
) -> None:
    path = add("a", "ash") / name
    content = path.read_bytes()
    before = load(tmp_path)
    path.write_bytes(content[: len(content) // 2])
    after = before.refreshed()
    assert after.get() is before.get()
    assert list(after.failures) == ["a"]
    assert after.refreshed() is after  # one attempt for one change
    path.write_bytes(content)
    mended = after.refreshed()
    assert mended.failures == {}
    assert mended.get() is not before.get()


def test_a_named_default_stays_when_its_folder_goes(add: Any, tmp_path: Path) -> None:
    folder = add("a", "ash")
    add("b", "birch")
    catalog = load(tmp_path, default="ash")
    shutil.rmtree(folder)
    after = catalog.refreshed()
    assert after.get().card.name == "ash"
    assert "folder is gone" in after.failures["a"]
    assert after.refreshed() is after


def test_another_default_is_taken_up_if_it_serves(add: Any, tmp_path: Path) -> None:
    add("a", "ash"), add("b", "birch")
    catalog = load(tmp_path)
    (tmp_path / "DEFAULT").write_text("birch")
    catalog = catalog.refreshed()
    assert catalog.get().card.name == "birch"
    (tmp_path / "DEFAULT").write_text("oak")
    with pytest.raises(InvalidCard, match="default model oak does not serve; there is"):
        catalog.refreshed()
    assert catalog.get().card.name == "birch"


def test_loading_opens_all_versions_of_a_model_anew_and_no_other(add: Any, tmp_path: Path) -> None:
    add("a", "ash"), add("birch/1", "birch", "1")
    before = load(tmp_path)
    add("birch/2", "birch", "2")
    after = before.with_model("birch")
    after.check("birch")
    assert names(after) == [("ash", "1"), ("birch", "2"), ("birch", "1")]
    assert after.get("birch", "1") is not before.get("birch", "1")
    assert after.get("ash") is before.get("ash")


def test_loading_what_is_broken_is_refused_with_the_reason(add: Any, tmp_path: Path) -> None:
    add("a", "ash")
    before = load(tmp_path)
    (add("birch", "birch") / "golden.json").unlink()
    after = before.with_model("birch")
    with pytest.raises(ModelRefused, match=r"birch: cannot read .*golden\.json"):
        after.check("birch")
    assert names(after) == [("ash", "1")]
    assert list(after.failures) == ["birch"]


@pytest.mark.parametrize("name", ["oak", "..", "", "a/b"])
def test_loading_what_has_no_folder_is_refused(add: Any, tmp_path: Path, name: str) -> None:
    add("a", "ash")
    with pytest.raises(ModelNotFound, match="no folder"):
        load(tmp_path).with_model(name)


def test_an_unloaded_model_is_gone_until_it_is_loaded_or_changed(add: Any, tmp_path: Path) -> None:
    add("a", "ash")
    folder = add("birch", "birch")
    without = load(tmp_path).without_model("birch")
    with pytest.raises(ModelNotFound):
        without.get("birch")
    assert (without.unloaded, without.failures) == (("birch",), {})
    assert without.refreshed() is without
    assert without.with_model("birch").get("birch")
    assert without.with_model("birch").unloaded == ()
    rewrite(folder / "card.json", "a toy", "another toy")
    assert without.refreshed().get("birch")


def test_an_unloaded_model_whose_folder_goes_as_well_is_gone(add: Any, tmp_path: Path) -> None:
    folders = add("a", "ash"), add("b", "birch")
    catalog = load(tmp_path, default="ash").without_model("birch")
    for folder in folders:
        shutil.rmtree(folder)
    catalog = catalog.refreshed()
    assert (list(catalog.failures), catalog.unloaded) == (["a"], ())


def test_one_version_is_unloaded_without_the_others(add: Any, tmp_path: Path) -> None:
    add("ash/1", "ash", "1"), add("ash/2", "ash", "2")
    assert names(load(tmp_path).without_model("ash", "2")) == [("ash", "1")]


@pytest.mark.parametrize("version", [None, "1"])
def test_the_default_cannot_be_unloaded(add: Any, tmp_path: Path, version: str | None) -> None:
    add("a", "ash"), add("b", "birch")
    with pytest.raises(ModelRefused, match="ash is the default model"):
        load(tmp_path).without_model("ash", version)
    with pytest.raises(ModelNotFound):
        load(tmp_path).without_model("birch", "7")
