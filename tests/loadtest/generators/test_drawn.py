from pathlib import Path

import numpy as np
import pytest

from loadtest.generators.drawn import choose_centres, draw_instances, fit_canvas, paint_heads, read_decoder
from service.inference.card import Card, read_card
from service.inference.decoding import DECODERS, Criteria
from service.types import Instances, Size


@pytest.fixture
def card(models: Path) -> Card:
    return read_card(models / "fake")


def see(card: Card, count: int) -> tuple[Instances, Instances]:
    """The drawn instances, and those that the decoder finds."""
    drawn = draw_instances(count, fit_canvas(Size(48, 64), card.canvas), stride=read_decoder(card).stride)
    heads = paint_heads(card, drawn)
    return drawn, DECODERS["centers"](heads, card.decoder, Criteria(card.canvas, threshold=0.3))


@pytest.mark.parametrize("count", [0, 1, 7, 16])
def test_the_decoder_sees_the_boxes_that_were_drawn(card: Card, count: int) -> None:
    drawn, seen = see(card, count)
    boxes, expected = seen.boxes_xyxy_canvas, drawn.boxes_xyxy_canvas
    assert len(seen) == count
    np.testing.assert_allclose(boxes[np.lexsort(boxes.T)], expected[np.lexsort(expected.T)], atol=1e-4)


def test_the_decoder_sees_the_mask_that_was_drawn(card: Card) -> None:
    drawn, seen = see(card, 1)
    np.testing.assert_allclose(seen.mask_fields, drawn.mask_fields, atol=1e-5)


def test_no_two_centres_are_neighbours() -> None:
    same = np.repeat([[10.0, 10, 14, 14]], 40, axis=0)
    centres = np.array(list(choose_centres(same, 40, 40)))
    apart = np.abs(centres[:, None] - centres[None]).max(axis=2)
    assert apart[~np.eye(40, dtype=bool)].min() == 2
