import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import SelfTestFailed
from service.inference.decoding.prototypes import decode_prototypes, suppress_fast
from service.inference.decoding.selection import Criteria
from service.inference.families import PrototypesDecoder
from service.types import Floats, Instances, Size

CANVAS = Size(40, 80)
DECODER = PrototypesDecoder(coefficients=3, candidates=4, max_instances=5)


def make_heads(seed: int, priors: int = 9) -> dict[str, Floats]:
    """Random heads whose boxes are near each other, so that some overlap."""
    random = np.random.default_rng(seed)
    heads = {
        "loc": random.normal(0, 1, (1, priors, 4)),
        "conf": random.dirichlet([0.3, 0.3, 0.3], (1, priors)),
        "mask": random.normal(0, 1, (1, priors, 3)),
        "priors": random.uniform(0.4, 0.6, (1, priors, 4)),
        "proto": random.normal(0, 1, (1, 6, 8, 3)),
    }
    return {name: head.astype(np.float32) for name, head in heads.items()}


def decode(heads: dict[str, Floats], threshold: float, **wishes: object) -> Instances:
    return decode_prototypes(heads, DECODER, Criteria(CANVAS, threshold, **wishes))  # type: ignore[arg-type]


def box_slowly(heads: dict[str, Floats], prior: int) -> list[float]:
    """xyxy in parts of the canvas, by SSD's rule."""
    x, y, width, height = heads["priors"][0, prior].tolist()
    right, down, wider, taller = heads["loc"][0, prior].tolist()
    x, y = x + right * 0.1 * width, y + down * 0.1 * height
    width, height = width * math.exp(wider * 0.2), height * math.exp(taller * 0.2)
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def iou_slowly(one: list[float], other: list[float]) -> float:
    width = max(min(one[2], other[2]) - max(one[0], other[0]), 0)
    height = max(min(one[3], other[3]) - max(one[1], other[1]), 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (areas - width * height)


def mask_slowly(heads: dict[str, Floats], prior: int, box: list[float]) -> list[list[float]]:
    """The probabilities of one mask, 0 further than a cell from its box."""
    _, rows, columns, _ = heads["proto"].shape
    field = np.zeros((rows, columns))
    for y, x in np.ndindex(rows, columns):
        if box[0] * columns - 1 <= x < box[2] * columns + 1 and box[1] * rows - 1 <= y < box[3] * rows + 1:
            field[y, x] = 1 / (1 + math.exp(-float(heads["mask"][0, prior] @ heads["proto"][0, y, x])))
    return field.tolist()


def decode_slowly(heads: dict[str, Floats], threshold: float) -> list[tuple[float, int, int]]:
    """Score, class and prior of each instance, by YOLACT's rules, class by class."""
    found = []
    conf = heads["conf"][0].tolist()
    for channel in (1, 2):
        priors = [prior for prior in range(len(conf)) if max(conf[prior][1:]) > 0.05]
        ranked = sorted(priors, key=lambda prior: -conf[prior][channel])[:4]
        for place, prior in enumerate(ranked):
            box = box_slowly(heads, prior)
            if all(iou_slowly(box, box_slowly(heads, better)) <= 0.5 for better in ranked[:place]):
                found.append((conf[prior][channel], channel, prior))
    best = sorted(found, key=lambda one: -one[0])[:5]
    return [one for one in best if one[0] > threshold]


@given(seed=st.integers(0, 100_000), threshold=st.sampled_from([0.0, 0.05, 0.4]))
def test_it_finds_what_the_rules_of_yolact_give(seed: int, threshold: float) -> None:
    heads = make_heads(seed)
    expected, found = decode_slowly(heads, threshold), decode(heads, threshold)
    assert found.scores.tolist() == [score for score, *_ in expected]
    assert found.classes.tolist() == [channel for _, channel, _ in expected]
    for index, (_, _, prior) in enumerate(expected):
        box = box_slowly(heads, prior)
        np.testing.assert_allclose(
            found.boxes_xyxy_canvas[index], np.array(box) * [80, 40, 80, 40], atol=1e-3
        )
        np.testing.assert_allclose(found.mask_fields[index], mask_slowly(heads, prior, box), atol=1e-5)


def test_a_box_that_goes_still_takes_others_with_it() -> None:
    chain = np.array([[0, 0, 10, 10], [3, 0, 13, 10], [6, 0, 16, 10], [9, 0, 19, 10]], np.float32)
    assert suppress_fast(chain, 0.5).tolist() == [0]
    assert suppress_fast(chain[[0, 2]], 0.5).tolist() == [0, 1]


def test_a_box_may_come_with_several_classes_unless_all_are_compared() -> None:
    heads = make_heads(0, priors=1)
    heads["conf"][:] = [0.2, 0.3, 0.5]
    assert decode(heads, 0.1).classes.tolist() == [2, 1]
    assert decode(heads, 0.1, classes=frozenset([1])).classes.tolist() == [1]
    assert decode(heads, 0.1, nms="all").classes.tolist() == [2]


def test_the_background_is_never_answered() -> None:
    heads = make_heads(0)
    heads["conf"][:] = [0.98, 0.01, 0.01]
    found = decode(heads, 0.0)
    assert len(found) == 0
    assert found.mask_fields.shape == (0, 6, 8)


@pytest.mark.parametrize("head", ["loc", "conf", "mask", "priors", "proto"])
def test_values_that_are_not_finite_are_a_fault_of_the_model(head: str) -> None:
    heads = make_heads(0, priors=1)
    heads["conf"][:] = [0.2, 0.3, 0.5]
    heads[head][0, 0, 0] = math.nan
    with pytest.raises(SelfTestFailed, match="not finite"):
        decode(heads, 0.1)
