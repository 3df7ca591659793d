from collections import Counter
from pathlib import Path

import pytest
import torch

from service.types import Size
from training.annotations import Annotation, Picture
from training.balance import draw_order, find_repeats


def picture(*labels: int, counts: bytes | None = None) -> Picture:
    objects = tuple(Annotation(label, (0, 0, 9, 9), counts=counts, ignored=False) for label in labels)
    return Picture(Path("x.png"), Size(10, 10), objects, silent=frozenset())


def test_a_picture_is_repeated_for_the_rarest_of_its_categories() -> None:
    pictures = [picture(0, 0)] * 6 + [picture(0, 1)] * 2 + [picture(2), picture()]
    # 0 is in 8 of 10 pictures, 1 in 2, 2 in one
    expected = [1.0] * 6 + [(0.4 / 0.2) ** 0.5] * 2 + [(0.4 / 0.1) ** 0.5, 1.0]
    assert find_repeats(pictures, threshold=0.4).tolist() == pytest.approx(expected)


def test_pictures_with_masks_are_the_share_that_is_asked_for() -> None:
    pictures = [picture(0, counts=b"x")] * 2 + [picture(0)] * 8
    assert find_repeats(pictures, 0.0, mask_share=0.5).tolist() == [4, 4, *[1] * 8]
    assert find_repeats(pictures[2:], 0.0, mask_share=0.5).tolist() == [1] * 8


def test_without_a_threshold_every_picture_comes_once_in_another_order_each_time() -> None:
    repeats = find_repeats([picture(number % 3) for number in range(500)], threshold=0.0)
    generator = torch.Generator().manual_seed(0)
    first, second = (draw_order(repeats, generator).tolist() for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(500))
    assert first != second


@pytest.mark.parametrize("seed", range(5))
def test_pictures_come_as_often_as_their_repeats_say(seed: int) -> None:
    repeats = torch.tensor([1.0] * 60 + [3.0] * 20)
    order = draw_order(repeats, torch.Generator().manual_seed(seed)).tolist()
    assert len(order) == 80
    times = Counter(order)
    assert {times[number] for number in range(60)} == {0, 1}
    assert {times[number] for number in range(60, 80)} <= {2, 1}
    assert sum(times[number] for number in range(60, 80)) in (39, 40, 41)
    assert order[:40] != sorted(order[:40])
