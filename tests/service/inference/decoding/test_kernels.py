import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import SelfTestFailed
from service.inference.decoding.kernels import decode_kernels
from service.inference.decoding.selection import Criteria
from service.inference.families import KernelsDecoder
from service.types import Floats, Instances, Size

Found: TypeAlias = tuple[float, int, npt.NDArray[Any]]  # score, class, probabilities

CANVAS = Size(32, 40)
DECODER = KernelsDecoder(channels=3, grids=((2, 3), (1, 8)), candidates=4)  # five places
CELLS = [3, 3, 3, 3, 8]  # that a mask must exceed, by place


def make_heads(seed: int) -> dict[str, Floats]:
    random = np.random.default_rng(seed)
    heads = {
        "scores": random.uniform(0, 1, (1, 5, 2)) * random.integers(0, 2, (1, 5, 2)),
        "kernels": random.normal(0, 1, (1, 5, 3)),
        "features": random.normal(0, 1, (1, 3, 8, 10)),
    }
    return {name: head.astype(np.float32) for name, head in heads.items()}


def decode(heads: dict[str, Floats], threshold: float = 0.05, **wishes: object) -> Instances:
    return decode_kernels(heads, DECODER, Criteria(CANVAS, threshold, **wishes))  # type: ignore[arg-type]


def decode_slowly(heads: dict[str, Floats], threshold: float) -> list[Found]:
    """Score, class and probabilities of each instance, by SOLOv2's rules, one place after the other."""
    found = []
    pairs = sorted(np.ndindex(5, 2), key=lambda pair: -heads["scores"][0][pair])
    for place, channel in pairs[:4]:
        score = float(heads["scores"][0, place, channel])
        field = 1 / (1 + np.exp(-np.tensordot(heads["kernels"][0, place], heads["features"][0], 1)))
        inside = field > 0.5
        if score > 0.1 and inside.sum() > CELLS[place]:
            found.append((score * float(field[inside].mean()), channel, field))
    found = sorted(found, key=lambda one: -one[0])
    decayed = []
    for index, (score, channel, field) in enumerate(found):
        factor = 1.0
        for better in range(index):
            iou = overlap_slowly(found[better], found[index])
            others = [overlap_slowly(found[above], found[better]) for above in range(better)]
            factor = min(factor, math.exp(-2 * iou**2) / math.exp(-2 * max(others, default=0) ** 2))
        decayed.append((score * factor, channel, field))
    return sorted((one for one in decayed if one[0] >= threshold), key=lambda one: -one[0])


def overlap_slowly(one: Found, other: Found) -> float:
    """The IoU of two masks of a class; 0 for those of two classes."""
    if one[1] != other[1]:
        return 0.0
    first, second = one[2] > 0.5, other[2] > 0.5
    return float((first & second).sum() / (first | second).sum())


@given(seed=st.integers(0, 100_000), threshold=st.sampled_from([0.0, 0.05, 0.3]))
def test_it_finds_what_the_rules_of_solov2_give(seed: int, threshold: float) -> None:
    heads = make_heads(seed)
    expected, found = decode_slowly(heads, threshold), decode(heads, threshold)
    np.testing.assert_allclose(found.scores, [score for score, *_ in expected], rtol=1e-4)
    assert found.classes.tolist() == [channel for _, channel, _ in expected]
    for field, (*_, wanted) in zip(found.mask_fields, expected, strict=True):
        np.testing.assert_allclose(field, wanted, atol=1e-5)


@given(seed=st.integers(0, 10_000))
def test_asking_for_a_class_takes_it_out_of_the_full_answer(seed: int) -> None:
    heads = make_heads(seed)
    everything, chosen = decode(heads), decode(heads, classes=frozenset([1]))
    assert chosen.scores.tolist() == everything.scores[everything.classes == 1].tolist()


def test_an_instance_that_repeats_a_better_one_loses_score_but_stays() -> None:
    heads = make_heads(0)
    heads["scores"][:] = 0
    heads["scores"][0, :2, 0] = [0.9, 0.8]
    heads["kernels"][0, 1] = heads["kernels"][0, 0]
    first, second = decode(heads).scores.tolist()
    assert second == pytest.approx(first * 8 / 9 * math.exp(-2))


def test_the_box_is_the_extent_of_the_mask() -> None:
    heads = make_heads(0)
    heads["scores"][:] = 0
    heads["scores"][0, 0, 0] = 0.9
    heads["features"][:] = -1
    heads["features"][:, :, 2:4, 5:9] = 1
    heads["kernels"][:] = 1
    found = decode(heads)
    assert found.boxes_xyxy_canvas.tolist() == [[20, 8, 36, 16]]
    assert found.box_is_extent


def test_nothing_found_is_an_empty_answer() -> None:
    heads = make_heads(0)
    heads["scores"][:] = 0
    assert decode(heads).mask_fields.shape == (0, 8, 10)


@pytest.mark.parametrize("head", ["scores", "kernels", "features"])
def test_values_that_are_not_finite_are_a_fault_of_the_model(head: str) -> None:
    heads = make_heads(0)
    heads["scores"][:] = 0.5
    heads[head][0, 0, 0] = math.nan
    with pytest.raises(SelfTestFailed, match="not finite"):
        decode(heads)
