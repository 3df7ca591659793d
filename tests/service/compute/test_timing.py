"""The choice among the files of a model by their times on this machine."""

from dataclasses import replace
from pathlib import Path
from time import process_time, sleep

import pytest

from service.compute.models import KeptFolder
from service.compute.task import Turn
from service.compute.timing import FastestFiles, Timed, TimeWork, describe_case, measure_least
from service.errors import InvalidCard
from service.inference.backends import BackendChoice, list_rivals
from service.inference.card import Card, read_card
from service.types import Heads, Pixels
from tests.service.models import copy_with_fast_int8, spoil_int8

TURN = Turn(crowded=True, waited_s=0)
FREE = BackendChoice()
SLOW, FAST = Timed("onnx", "fp32", 9.0), Timed("tflite", "int8", 4.0)


@pytest.fixture
def folder(toy_folder: Path, tmp_path: Path) -> Path:
    """A toy with figures: fp32 for two runtimes, INT8 for TFLite."""
    return copy_with_fast_int8(toy_folder, tmp_path / "toy")


@pytest.fixture
def card(folder: Path) -> Card:
    return read_card(folder)


def time(folder: Path, choice: BackendChoice = FREE) -> tuple[Timed, ...]:
    return TimeWork(KeptFolder(folder), choice, seconds=0.01)(TURN)


def test_every_file_that_is_accurate_enough_is_timed(folder: Path) -> None:
    timed = time(folder)
    assert {(each.runtime, each.precision) for each in timed} == {
        ("onnx", "fp32"),
        ("tflite", "fp32"),
        ("tflite", "int8"),
    }
    assert all(each.cpu_ms > 0 for each in timed)


class Busy:
    """A backend that computes for some seconds, and waits for some, as where others use its core."""

    def __init__(self, computes_s: float, waits_s: float) -> None:
        self._computes_s = computes_s
        self._waits_s = waits_s

    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        end = process_time() + self._computes_s
        while process_time() < end:
            pass
        sleep(self._waits_s)
        return {}


def test_waiting_for_a_core_makes_no_file_slower(card: Card) -> None:
    disturbed, slower = Busy(0.002, waits_s=0.03), Busy(0.006, waits_s=0)
    least = measure_least([disturbed, slower], card, seconds=0.01)  # type: ignore[list-item]  # they only run
    assert least[0] < 0.006 <= least[1]


@pytest.mark.parametrize(
    "choice",
    [
        BackendChoice(precision="fp32"),
        BackendChoice(runtime="onnx"),
        BackendChoice(providers=("cpu",)),
        BackendChoice(delegates=("libedge.so",)),
    ],
)
def test_nothing_is_timed_where_the_operator_leaves_no_choice(folder: Path, choice: BackendChoice) -> None:
    assert time(folder, choice) == ()


def test_nothing_is_timed_without_figures_of_accuracy(toy_folder: Path) -> None:
    assert time(toy_folder) == ()


def test_a_file_that_fails_its_self_test_takes_no_part(folder: Path) -> None:
    spoil_int8(folder)
    assert "int8" not in {each.precision for each in time(folder)}


def test_a_file_that_loses_too_much_is_no_rival(card: Card) -> None:
    worse = []
    for file in card.files:
        assert file.accuracy is not None
        loss = 0.01 if file.precision == "int8" else 0
        accuracy = file.accuracy.model_copy(update={"mask_ap": file.accuracy.mask_ap - loss})
        worse.append(file.model_copy(update={"accuracy": accuracy}))
    rivals = list_rivals(card.model_copy(update={"files": tuple(worse)}), FREE)
    assert {file.precision for file in rivals} == {"fp32"}


def test_the_fastest_is_remembered_and_found_again_by_another_process(card: Card, tmp_path: Path) -> None:
    assert FastestFiles(tmp_path / "new" / "cache").find(card, FREE) is None
    assert FastestFiles(tmp_path / "new" / "cache").note(card, FREE, (SLOW, FAST)) == FAST
    found = FastestFiles(tmp_path / "new" / "cache").find(card, FREE)
    assert found == FAST
    assert found is not None
    assert found.pin(FREE) == replace(FREE, runtime="tflite", precision="int8")


def test_a_folder_that_cannot_be_used_is_as_good_as_none(card: Card, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (None, tmp_path / "file"):
        fastest = FastestFiles(folder)
        assert fastest.find(card, FREE) is None
        fastest.note(card, FREE, (SLOW, FAST))
        assert fastest.find(card, FREE) == FAST


@pytest.mark.parametrize("content", ["", "{", "[]", '{"runtime": "x", "precision": "y", "cpu_ms": 1}'])
def test_a_file_of_the_folder_that_says_nothing_useful_is_ignored(
    card: Card, tmp_path: Path, content: str
) -> None:
    (tmp_path / f"{describe_case(card, FREE)}.json").write_text(content)
    assert FastestFiles(tmp_path).find(card, FREE) is None


def test_other_files_and_other_choices_are_other_cases(card: Card) -> None:
    others = card.model_copy(update={"files": card.files[1:]})
    cases = {
        describe_case(card, FREE),
        describe_case(others, FREE),
        describe_case(card, BackendChoice(runtime="tflite")),
        describe_case(card, BackendChoice(threads=2)),
    }
    assert len(cases) == 4


def test_a_card_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidCard):
        time(tmp_path)
