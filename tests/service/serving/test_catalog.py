import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import InvalidCard, ModelNotFound
from service.inference.backends import BackendChoice
from service.inference.images import Limits
from service.inference.segmenter import Segmenter, open_model
from service.serving.catalog import version_key
from service.serving.repository import take_census
from service.types import Options
from tests.service.models import add, load, names, rewrite

__all__ = ["add"]  # a fixture


def test_without_a_word_the_first_by_name_is_the_default(add: Any, tmp_path: Path) -> None:
    add("b", "birch"), add("a", "ash"), add("c", "cedar")
    catalog = load(tmp_path)
    assert catalog.get().card.name == "ash"
    assert [name for name, _ in names(catalog)] == ["ash", "birch", "cedar"]


def test_the_file_default_names_the_default(add: Any, tmp_path: Path) -> None:
    add("a", "ash"), add("b", "birch"), add("c", "cedar")
    (tmp_path / "DEFAULT").write_text("birch\n")
    catalog = load(tmp_path)
    assert catalog.get().card.name == "birch"
    assert [name for name, _ in names(catalog)] == ["birch", "ash", "cedar"]


def test_a_setting_goes_before_the_file(add: Any, tmp_path: Path) -> None:
    add("a", "ash"), add("b", "birch"), add("c", "cedar")
    (tmp_path / "DEFAULT").write_text("birch")
    assert load(tmp_path, default="cedar").get().card.name == "cedar"


def test_versions_stand_in_folders_of_their_own_and_the_newest_answers(add: Any, tmp_path: Path) -> None:
    for version in ("1.9", "1.10", "1.2"):
        add(f"ash/{version}", "ash", version)
    add("b", "birch", "7")
    catalog = load(tmp_path)
    assert catalog.get("ash").card.version == "1.10"
    assert catalog.get("ash", "1.2").card.version == "1.2"
    assert catalog.get(None, "1.9").card.version == "1.9"
    assert names(catalog) == [("ash", "1.10"), ("ash", "1.9"), ("ash", "1.2"), ("birch", "7")]


def test_why_a_model_does_not_serve_is_told_without_the_folders_of_this_machine(
    add: Any, tmp_path: Path
) -> None:
    add("a", "ash")
    (add("b", "birch") / "fp32.onnx").write_bytes(b"cut")
    add("c", "cedar"), add("d", "dogwood")

    def open_some(folder: Path, *rest: Any) -> Any:
        if folder.name == "c":
            raise RuntimeError(
                f"Load model from {folder}/fp32.onnx failed: /opt/runtime/lib/libort.so is old"
            )
        if folder.name == "d":
            raise InvalidCard(f"cannot read '{folder.resolve()}/card.json'")
        return open_model(folder, *rest)

    failures = load(tmp_path, opener=open_some).failures
    assert failures["b"].startswith("b/fp32.onnx is not the file its card describes: 3 bytes")
    assert failures["c"] == "RuntimeError: Load model from c/fp32.onnx failed: libort.so is old"
    assert failures["d"] == "cannot read 'd/card.json'"


@pytest.mark.parametrize(
    "ascending",
    [
        ["9" * 4999, "1" * 5000, "2" * 5000],
        ["1", "2", "10"],
        ["1.0", "1.0.1", "1.1", "1.10"],
        ["1.0-rc1", "1.0-rc2", "1.0-rc10"],
        ["a1", "a2", "b1", "1"],
        ["2024-06-30", "2024-10-01"],
    ],
)
def test_versions_sort_as_people_count(ascending: list[str]) -> None:
    descending = ascending[::-1]
    assert sorted(descending, key=version_key) == ascending


@pytest.mark.parametrize(
    ("name", "version"), [("oak", None), ("ash", "2"), ("Ash", None), (None, "9"), ("..", None)]
)
def test_an_unknown_model_is_refused_with_what_there_is(
    add: Any, tmp_path: Path, name: str | None, version: str | None
) -> None:
    add("a", "ash"), add("b", "birch", "2")
    with pytest.raises(ModelNotFound, match="only ash 1, birch 2"):
        load(tmp_path).get(name, version)


def test_a_broken_model_does_not_keep_the_others_from_serving(add: Any, tmp_path: Path) -> None:
    add("a", "ash")
    (add("b", "birch") / "fp32.onnx").write_bytes(b"short")
    (add("c/2", "cedar", "2") / "card.json").write_text("{")
    (add("d", "dogwood") / "golden.json").unlink()
    catalog = load(tmp_path)
    assert names(catalog) == [("ash", "1")]
    assert sorted(catalog.failures) == ["b", "c/2", "d"]
    assert "is not the file its card describes" in catalog.failures["b"]
    assert "card.json" in catalog.failures["c/2"]
    assert "golden.json" in catalog.failures["d"]
    assert catalog.get().segment_pixels(np.zeros((9, 9, 3), np.uint8), Options()).model == "ash"


def test_an_error_of_no_known_kind_is_a_reason_too(add: Any, tmp_path: Path) -> None:
    add("a", "ash"), add("b", "birch")

    def explode(folder: Path, choice: BackendChoice, limits: Limits) -> Any:
        raise MemoryError("no room")

    with pytest.raises(InvalidCard, match="no model serves; a: MemoryError: no room; b: MemoryError"):
        load(tmp_path, opener=explode)


def test_when_the_newest_version_is_broken_the_one_before_answers(add: Any, tmp_path: Path) -> None:
    add("ash/1", "ash", "1")
    (add("ash/2", "ash", "2") / "fp32.onnx").unlink()
    catalog = load(tmp_path)
    assert catalog.get("ash").card.version == "1"
    assert list(catalog.failures) == ["ash/2"]


def test_a_twin_is_refused(add: Any, tmp_path: Path) -> None:
    add("a", "ash"), add("b", "ash")
    catalog = load(tmp_path)
    assert names(catalog) == [("ash", "1")]
    assert catalog.failures == {"b": "ash 1 is already served from a"}


def test_a_default_that_is_broken_or_unknown_is_an_error_that_says_why(add: Any, tmp_path: Path) -> None:
    add("a", "ash")
    (add("b", "birch") / "fp32.onnx").unlink()
    with pytest.raises(
        InvalidCard, match=r"default model birch does not serve; there is ash; b: cannot read"
    ):
        load(tmp_path, default="birch")
    with pytest.raises(InvalidCard, match="default model oak does not serve; there is ash"):
        load(tmp_path, default="oak")


@pytest.mark.parametrize("name", [".Trash-1000", "..2026_11_28", "lost+found", "__pycache__", "mine/.old"])
def test_hidden_folders_are_no_models(add: Any, tmp_path: Path, name: str) -> None:
    add("mine/1", "ash"), add(f"{name}/ash", "ash", "9.9.9")
    shutil.copy(tmp_path / "mine" / "1" / "card.json", tmp_path / name)
    assert names(load(tmp_path)) == [("ash", "1")]
    assert load(tmp_path).failures == {}


def test_a_folder_that_is_reached_by_several_names_counts_once(add: Any, tmp_path: Path) -> None:
    add("..2026_11_28/ash", "ash")
    (tmp_path / "..data").symlink_to("..2026_11_28")
    (tmp_path / "ash").symlink_to("..data/ash")
    add("birch/2", "birch", "2")
    (tmp_path / "birch" / "latest").symlink_to("2")
    catalog = load(tmp_path)
    assert (names(catalog), catalog.failures) == ([("ash", "1"), ("birch", "2")], {})


def test_a_swap_of_a_linked_folder_is_a_change(add: Any, tmp_path: Path) -> None:
    add("..one/ash", "ash", "1"), add("..two/ash", "ash", "2")
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "ash").symlink_to("..data/ash")
    catalog = load(tmp_path)
    (tmp_path / "..new").symlink_to("..two")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert names(catalog.refreshed()) == [("ash", "2")]


def make_non_utf8_name(tmp_path: Path, ash: Path) -> None:
    shutil.copytree(ash, tmp_path / os.fsdecode(b"m\xff"))


def make_pipe_for_a_card(tmp_path: Path, ash: Path) -> None:
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "card.json")


def make_link_to_nothing(tmp_path: Path, ash: Path) -> None:
    shutil.copytree(ash, tmp_path / "link")
    (tmp_path / "link" / "golden.json").unlink()
    (tmp_path / "link" / "golden.json").symlink_to("nowhere")


def make_long_version(tmp_path: Path, ash: Path) -> None:
    shutil.copytree(ash, tmp_path / "long")
    rewrite(tmp_path / "long" / "card.json", '"version": "1"', f'"version": "{"1" * 5000}"')


@pytest.mark.parametrize(
    ("make", "place", "reason"),
    [
        (make_non_utf8_name, r"m\udcff", "name is not UTF-8"),
        (make_pipe_for_a_card, "pipe", "card.json: it is not a regular file"),
        (make_link_to_nothing, "link", "golden.json: No such file"),
        (make_long_version, "long", "version: String should have at most 200"),
    ],
)
def test_an_odd_folder_has_a_printable_reason_and_is_opened_once(
    add: Any, tmp_path: Path, make: Callable[[Path, Path], None], place: str, reason: str
) -> None:
    make(tmp_path, add("ash", "ash"))
    catalog = load(tmp_path)
    assert names(catalog) == [("ash", "1")]
    assert list(catalog.failures) == [place]
    assert reason in catalog.failures[place]
    json.dumps(catalog.failures).encode("ascii").decode("unicode_escape").encode()
    assert catalog.refreshed() is catalog
    assert take_census(tmp_path) == take_census(tmp_path)


def test_odd_things_beside_the_models_do_no_harm(add: Any, tmp_path: Path) -> None:
    add("ash", "ash")
    for pipe in (tmp_path / "pipe", tmp_path / "ash" / "pipe"):
        os.mkfifo(pipe)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "ash" / "gone").symlink_to("nowhere")
    catalog = load(tmp_path)
    assert (names(catalog), catalog.failures) == ([("ash", "1")], {})
    assert catalog.refreshed() is catalog


@pytest.mark.parametrize("content", [b"\xff\xfe\0", bytes(range(256))])
def test_a_default_that_is_no_text_is_an_error_that_says_so(add: Any, tmp_path: Path, content: bytes) -> None:
    add("ash", "ash")
    catalog = load(tmp_path)
    (tmp_path / "DEFAULT").write_bytes(content)
    with pytest.raises(InvalidCard, match="DEFAULT cannot be read as text"):
        load(tmp_path)
    with pytest.raises(InvalidCard, match="DEFAULT cannot be read as text"):
        catalog.refreshed()
    (tmp_path / "DEFAULT").write_bytes(b"\xef\xbb\xbfash\r\n")
    assert load(tmp_path).get().card.name == "ash"


@pytest.mark.parametrize("content", [b"", b" \r\n", b"\xef\xbb\xbf"])
def test_an_empty_default_names_no_model(add: Any, tmp_path: Path, content: bytes) -> None:
    add("ash", "ash")
    (tmp_path / "DEFAULT").write_bytes(content)
    assert load(tmp_path).get().card.name == "ash"


def test_folders_without_a_card_are_no_models(add: Any, tmp_path: Path) -> None:
    add("a", "ash")
    (tmp_path / "notes").mkdir()
    (tmp_path / "README.md").write_text("about these models")
    catalog = load(tmp_path)
    assert names(catalog) == [("ash", "1")]
    assert catalog.failures == {}


@pytest.mark.parametrize(
    ("place", "fault"),
    [(".", r"it holds no folder with a card\.json"), ("missing", "there is no such folder")],
)
def test_no_model_at_all_is_an_error_that_names_the_folder(tmp_path: Path, place: str, fault: str) -> None:
    with pytest.raises(InvalidCard, match=f"no model serves: BLITZ_MODELS_DIR={tmp_path / place}: {fault}"):
        load(tmp_path / place)


def test_what_was_opened_is_closed_where_the_default_does_not_serve(
    add: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("a", "ash"), add("b", "birch")
    closed: list[str] = []
    monkeypatch.setattr(Segmenter, "close", lambda segmenter: closed.append(segmenter.card.name))
    with pytest.raises(InvalidCard):
        load(tmp_path, default="oak")
    assert closed == ["ash", "birch"]
