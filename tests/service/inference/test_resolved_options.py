import math
from pathlib import Path
from typing import Any, get_args

import pytest

from service.errors import InvalidOption
from service.inference.card import Card, read_card
from service.inference.families import MaskListDecoder
from service.inference.resolved_options import ResolvedOptions, resolve_options
from service.types import MaskFormat, Options


@pytest.fixture
def card(toy_folder: Path) -> Card:
    return read_card(toy_folder)


def test_what_is_not_asked_is_the_models_default(card: Card) -> None:
    assert resolve_options(card, Options()) == ResolvedOptions(
        threshold=0.6, limit=20, classes=None, masks="rle"
    )


def test_what_is_asked_is_taken(card: Card) -> None:
    options = Options(score_threshold=0.0, max_instances=1, classes=("leaf", "rose"), masks="none")
    assert resolve_options(card, options) == ResolvedOptions(0.0, 1, frozenset({0, 1}), "none")


def test_a_graph_that_numbers_its_classes_is_asked_only_for_those_with_a_label(card: Card) -> None:
    numbering = card.model_copy(update={"decoder": MaskListDecoder()})
    assert resolve_options(numbering, Options()).classes == frozenset({0, 1})


@pytest.mark.parametrize("threshold", [0, 0.25, 1])
def test_thresholds_reach_from_0_to_1(card: Card, threshold: float) -> None:
    assert resolve_options(card, Options(score_threshold=threshold)).threshold == threshold


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"score_threshold": -0.1}, "score_threshold is -0.1, expected a number from 0 to 1"),
        ({"score_threshold": 1.1}, "from 0 to 1"),
        ({"score_threshold": math.nan}, "from 0 to 1"),
        ({"score_threshold": math.inf}, "from 0 to 1"),
        ({"max_instances": 0}, "max_instances is 0, expected 1 to 20"),
        ({"max_instances": -3}, "expected 1 to 20"),
        ({"max_instances": 21}, "expected 1 to 20"),
        ({"classes": ("rose", "tulip", "Leaf")}, "unknown classes 'tulip', 'Leaf'; toy knows rose, leaf"),
        ({"classes": ()}, "classes is empty; toy knows rose, leaf"),
        ({"masks": "box"}, "masks is 'box', expected one of rle, rle_crop, polygon, contour, none"),
        ({"tolerance": -0.5}, "tolerance is -0.5, expected a number of pixels from 0 to 100"),
        ({"tolerance": math.nan}, "tolerance is nan"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_can(
    card: Card, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidOption, match=message):
        resolve_options(card, Options(**asked))


def test_an_error_names_few_of_many_unknown_classes(card: Card) -> None:
    with pytest.raises(InvalidOption, match="and 990 more; toy knows") as refusal:
        resolve_options(card, Options(classes=("x" * 30_000, *(f"l{number}" for number in range(999)))))
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize("masks", get_args(MaskFormat))
def test_a_model_of_boxes_only_gives_no_masks_in_any_form(card: Card, masks: MaskFormat) -> None:
    boxes = card.model_copy(update={"decoder": card.decoder.model_copy(update={"coefficients": 0})})
    assert resolve_options(boxes, Options(masks=masks)).masks == "none"
