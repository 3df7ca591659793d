import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import SelfTestFailed
from service.inference.decoding.boxes_masks import decode_boxes_masks
from service.inference.decoding.mask_list import decode_mask_list
from service.inference.decoding.selection import Criteria
from service.inference.families import BoxesMasksDecoder, MaskListDecoder
from service.types import Floats, Instances, Size

CANVAS = Size(40, 60)
FAMILIES = ["boxes_masks", "mask_list"]
SCORES = [0.0, 0.25, 0.5, 0.75, 1.0]  # few, so that there are ties


def make_heads(seed: int, count: int) -> dict[str, Floats]:
    random = np.random.default_rng(seed)
    heads = {
        "boxes": random.uniform(0, 40, (1, count, 4)),
        "labels": random.integers(0, 4, (1, count)),
        "scores": random.choice(SCORES, (1, count)),
        "masks": random.uniform(0, 1, (1, count, 1, 4, 6)),
    }
    return {name: head.astype(np.float32) for name, head in heads.items()}


def decode(
    family: str, heads: dict[str, Floats], threshold: float, rule: dict[str, Any], **wishes: Any
) -> Instances:
    criteria = Criteria(CANVAS, threshold, **wishes)
    if family == "boxes_masks":
        return decode_boxes_masks(heads, BoxesMasksDecoder(**rule), criteria)
    return decode_mask_list(heads, MaskListDecoder(**rule), criteria)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("classes", [None, frozenset([1, 3])])
@given(seed=st.integers(0, 10_000), count=st.integers(0, 8), threshold=st.sampled_from([0.0, 0.3, 0.5]))
def test_it_takes_the_rows_above_the_threshold_in_order(
    family: str, classes: frozenset[int] | None, seed: int, count: int, threshold: float
) -> None:
    heads = make_heads(seed, count)
    rows = []
    for row, score in enumerate(heads["scores"][0].tolist()):
        if score > threshold and (classes is None or int(heads["labels"][0, row]) in classes):
            rows.append(row)
    rows = sorted(rows, key=lambda row: -heads["scores"][0, row])[:3]
    found = decode(family, heads, threshold, {"max_instances": 3}, classes=classes)
    assert found.scores.tolist() == [heads["scores"][0, row] for row in rows]
    assert found.classes.tolist() == [heads["labels"][0, row] for row in rows]
    fields = found.mask_fields[:, 1:-1, 1:-1] if family == "boxes_masks" else found.mask_fields
    assert fields.tolist() == [heads["masks"][0, row, 0].tolist() for row in rows]
    if family == "boxes_masks":
        assert found.boxes_xyxy_canvas.tolist() == [heads["boxes"][0, row].tolist() for row in rows]


def test_scores_may_stand_in_the_last_column_of_the_boxes() -> None:
    heads = make_heads(0, 2)
    del heads["scores"]
    heads["dets"] = np.array([[[1, 2, 3, 4, 0.5], [5, 6, 7, 8, 0.75]]], np.float32)
    found = decode("boxes_masks", heads, 0.3, {"boxes": "dets", "scores": None})
    assert found.scores.tolist() == [0.75, 0.5]
    assert found.boxes_xyxy_canvas.tolist() == [[5, 6, 7, 8], [1, 2, 3, 4]]


def test_a_field_of_a_box_gets_a_rim_of_zeros_and_one_of_the_canvas_none() -> None:
    heads = make_heads(0, 1)
    heads["scores"][:] = 1
    rimmed = decode("boxes_masks", heads, 0.3, {}).mask_fields
    assert rimmed.shape == (1, 6, 8)
    assert rimmed[0, 0].tolist() == rimmed[0, -1].tolist() == [0] * 8
    assert decode("boxes_masks", heads, 0.3, {"extent": "canvas"}).mask_fields.shape == (1, 4, 6)


def test_a_list_without_boxes_takes_those_of_the_masks() -> None:
    heads = make_heads(0, 2)
    heads["scores"][:] = [[1, 0.75]]
    heads["masks"][:] = 0
    heads["masks"][0, 1, 0, 1:3, 2:3] = 1
    found = decode("mask_list", heads, 0.3, {})
    assert found.boxes_xyxy_canvas.tolist() == [[0, 0, 0, 0], [20, 10, 30, 30]]
    assert found.box_is_extent


@pytest.mark.parametrize("family", FAMILIES)
def test_over_all_classes_only_the_best_of_overlapping_boxes_stays(family: str) -> None:
    heads = make_heads(0, 3)
    heads["boxes"][:] = [[10, 10, 30, 30], [10, 10, 30, 29], [40, 10, 50, 30]]
    heads["masks"][:] = 1
    heads["masks"][0, 2, :, :, :3] = 0
    heads["scores"][:] = [[0.9, 0.8, 0.7]]
    heads["labels"][:] = [[0, 1, 1]]
    assert decode(family, heads, 0.3, {}).classes.tolist() == [0, 1, 1]
    assert decode(family, heads, 0.3, {}, nms="all").classes.tolist() == [0, 1]
    assert decode(family, heads, 0.3, {}, nms="all", classes=frozenset([1])).scores.tolist() == [
        np.float32(0.7)
    ]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", ["boxes", "labels", "scores", "masks"])
def test_values_that_are_not_finite_are_a_fault_of_the_model(family: str, head: str) -> None:
    heads = make_heads(0, 3)
    heads["scores"][:] = 1
    heads[head][0, 1] = math.nan
    if family == "mask_list" and head == "boxes":
        assert len(decode(family, heads, 0.3, {})) == 3  # it does not look at boxes
    else:
        with pytest.raises(SelfTestFailed, match="not finite"):
            decode(family, heads, 0.3, {})
