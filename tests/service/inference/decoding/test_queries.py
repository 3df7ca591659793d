import math
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import SelfTestFailed
from service.inference.decoding.queries import decode_queries
from service.inference.decoding.selection import Criteria
from service.inference.families import QueriesDecoder
from service.types import Floats, Instances, Size

CANVAS = Size(36, 24)
LOGITS = [-9.0, -2.0, -0.5, 0.0, 0.5, 2.0]  # few, so that there are ties
RULES = [
    {},
    {"one_class": True},
    {"background": "last", "activation": "softmax"},
    {"background": "first", "activation": "softmax", "one_class": True},
    {"boxes": None, "maskness": True},
    {"boxes": None, "maskness": True, "maskness_side": 12, "background": "last", "activation": "softmax"},
    {"activation": "none", "mask_values": "probabilities", "mask_level": 0.45, "maskness": True},
]


def make_heads(rule: dict[str, Any], seed: int, queries: int = 5, classes: int = 3) -> dict[str, Floats]:
    """Random heads; those of a sigmoid have ties, which only rounding would order elsewhere."""
    random = np.random.default_rng(seed)
    scores = {
        "sigmoid": random.choice(LOGITS, (1, queries, classes)),
        "softmax": random.normal(0, 3, (1, queries, classes)),
        "none": random.uniform(0, 1, (1, queries, classes)),
    }
    masks = random.normal(0, 2, (1, queries, 9, 6))
    heads = {
        "labels": scores[rule.get("activation", "sigmoid")],
        "dets": random.uniform(0, 1, (1, queries, 4)),
        "masks": 1 / (1 + np.exp(masks)) if "mask_values" in rule else masks,
    }
    return {name: head.astype(np.float32) for name, head in heads.items()}


def decode(heads: dict[str, Floats], threshold: float, rule: dict[str, Any], **criteria: Any) -> Instances:
    return decode_queries(heads, QueriesDecoder(**rule), Criteria(CANVAS, threshold, **criteria))


def score_slowly(logits: list[float], decoder: QueriesDecoder) -> list[float]:
    """The scores of one query; the background gets none."""
    if decoder.activation == "sigmoid":
        scores = [1 / (1 + math.exp(-value)) for value in logits]
    elif decoder.activation == "softmax":
        powers = [math.exp(value) for value in logits]
        scores = [power / sum(powers) for power in powers]
    else:
        scores = list(logits)
    if decoder.background != "none":
        scores[0 if decoder.background == "first" else len(scores) - 1] = -math.inf
    return scores


def mean_slowly(field: Floats, decoder: QueriesDecoder) -> float:
    """The mean probability of the cells of a mask."""
    if decoder.maskness_side is not None:
        field = np.asarray(cv2.resize(field, (decoder.maskness_side,) * 2), np.float32)
    cells = [value for value in field.reshape(-1).tolist() if value > decoder.mask_level]
    if decoder.mask_values == "logits":
        cells = [1 / (1 + math.exp(-value)) for value in cells]
    return sum(cells) / len(cells) if cells else 0.0


def decode_slowly(
    heads: dict[str, Floats], threshold: float, decoder: QueriesDecoder
) -> list[tuple[float, int, int]]:
    """Score, query and class of each instance, pair by pair."""
    pairs = []
    for query, logits in enumerate(heads["labels"][0].tolist()):
        scores = score_slowly(logits, decoder)
        for channel, score in enumerate(scores):
            if not decoder.one_class or channel == scores.index(max(scores)):
                pairs.append((score, query, channel))
    pairs = sorted(pairs, key=lambda pair: -pair[0])[: decoder.max_instances]
    if decoder.maskness:
        pairs = [
            (score * mean_slowly(heads["masks"][0][query], decoder), query, channel)
            for score, query, channel in pairs
        ]
    return sorted((pair for pair in pairs if pair[0] > threshold), key=lambda pair: -pair[0])


@pytest.mark.parametrize("rule", RULES, ids=str)
@given(
    seed=st.integers(0, 10_000), threshold=st.sampled_from([0.01, 0.3, 0.55]), limit=st.sampled_from([4, 100])
)
def test_it_finds_what_a_search_through_all_pairs_finds(
    rule: dict[str, Any], seed: int, threshold: float, limit: int
) -> None:
    rule = {**rule, "max_instances": limit}
    heads = make_heads(rule, seed)
    expected = decode_slowly(heads, threshold, QueriesDecoder(**rule))
    found = decode(heads, threshold, rule)
    np.testing.assert_allclose(found.scores, [score for score, *_ in expected], rtol=1e-5)
    assert found.classes.tolist() == [channel for *_, channel in expected]
    assert found.mask_fields.tolist() == [heads["masks"][0][query].tolist() for _, query, _ in expected]


def test_a_box_is_in_parts_of_the_canvas() -> None:
    heads = make_heads({}, 0, queries=1, classes=1)
    heads["labels"][:] = 2
    heads["dets"][:] = [0.5, 0.5, 0.25, 0.5]
    assert decode(heads, 0.5, {}).boxes_xyxy_canvas.tolist() == [[9, 9, 15, 27]]


def test_without_boxes_the_cells_of_the_mask_bound_the_object() -> None:
    heads = make_heads({}, 0, queries=1, classes=1)
    heads["labels"][:] = 2
    heads["masks"][:] = -1
    heads["masks"][0, 0, 2:4, 1:5] = 1
    found = decode(heads, 0.5, {"boxes": None})
    assert found.boxes_xyxy_canvas.tolist() == [[4, 8, 20, 16]]
    assert found.box_is_extent


@pytest.mark.parametrize(("comparison", "count"), [(">", 0), (">=", 1)])
def test_the_card_says_whether_the_threshold_itself_passes(comparison: str, count: int) -> None:
    heads = make_heads({}, 0, queries=1, classes=1)
    heads["labels"][:] = 0
    assert len(decode(heads, 0.5, {"comparison": comparison})) == count


@given(seed=st.integers(0, 10_000), classes=st.frozensets(st.integers(0, 2), min_size=1))
def test_asking_for_classes_takes_them_out_of_the_full_answer(seed: int, classes: frozenset[int]) -> None:
    heads = make_heads({}, seed)
    everything, chosen = decode(heads, 0.1, {}), decode(heads, 0.1, {}, classes=classes)
    wanted = np.isin(everything.classes, list(classes))
    assert chosen.classes.tolist() == everything.classes[wanted].tolist()
    assert chosen.scores.tolist() == everything.scores[wanted].tolist()


def test_a_channel_that_is_not_asked_for_takes_its_place_among_the_best() -> None:
    heads = make_heads({}, 0, queries=1)
    heads["labels"] = np.array([[[1, 3, 2]]], np.float32)
    assert decode(heads, 0.5, {"max_instances": 2}).classes.tolist() == [1, 2]
    few = decode(heads, 0.5, {"max_instances": 2}, classes=frozenset([0, 2]))
    assert few.classes.tolist() == [2]


def test_over_all_classes_a_query_is_one_object() -> None:
    heads = make_heads({}, 0, queries=1)
    heads["labels"][:] = [1, 3, 2]
    heads["dets"][:] = [0.5, 0.5, 0.25, 0.5]
    assert decode(heads, 0.5, {}).classes.tolist() == [1, 2, 0]
    assert decode(heads, 0.5, {}, nms="all").classes.tolist() == [1]
    assert decode(heads, 0.5, {}, nms="all", classes=frozenset([2])).classes.tolist() == []


@pytest.mark.parametrize("head", ["labels", "dets", "masks"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_a_fault_of_the_model(head: str, value: float) -> None:
    heads = make_heads({}, 0)
    heads["labels"][:] = 2
    heads[head][0, 0, 0] = value
    with pytest.raises(SelfTestFailed, match="not finite"):
        decode(heads, 0.1, {})


def test_nothing_above_the_threshold_is_an_empty_answer() -> None:
    heads = make_heads({}, 0)
    heads["labels"][:] = -9
    for rule in ({}, {"boxes": None, "maskness": True, "maskness_side": 12}):
        assert decode(heads, 0.5, rule).mask_fields.shape == (0, 9, 6)
