"""The three kinds of non-maximum suppression, each against its rule in plain loops, on random inputs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.inference.decoding.kernels import decay_scores
from service.inference.decoding.prototypes import suppress_fast
from service.inference.decoding.selection import suppress
from service.types import Floats, Instances, Ints, Mask

SEEDS = st.integers(0, 2**32 - 1)
OVERLAPS = st.sampled_from([0.3, 0.5, 0.7])


def draw_boxes(seed: int, count: int) -> Floats:
    """Boxes with whole corners, so that many have the same IoU with others: float32 [N, 4] xyxy."""
    random = np.random.default_rng(seed)
    corners = random.integers(0, 24, (count, 2))
    return np.hstack([corners, corners + random.integers(1, 12, (count, 2))]).astype(np.float32)


def exceeds(one: list[float], other: list[float], most: float) -> bool:
    """True where the IoU of two boxes with whole corners exceeds `most`, which float32 has to hold."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return common > float(np.float32(most) * np.float32(sum(areas) - common))


def suppress_slowly(boxes: list[list[float]], groups: list[int], most: float) -> list[int]:
    kept: list[int] = []
    for place, box in enumerate(boxes):
        better = [other for other in kept if groups[other] == groups[place]]
        if not any(exceeds(boxes[other], box, most) for other in better):
            kept.append(place)
    return kept


@given(seed=SEEDS, count=st.sampled_from([0, 1, 2, 30, 255, 257, 600]), most=OVERLAPS)
@settings(max_examples=40, deadline=None)
def test_class_aware_nms_keeps_what_no_kept_box_of_its_class_overlaps(
    seed: int, count: int, most: float
) -> None:
    boxes, groups = draw_boxes(seed, count), np.random.default_rng(seed).integers(0, 3, count)
    expected = suppress_slowly(boxes.tolist(), groups.tolist(), most)
    assert suppress(boxes, groups, most).tolist() == expected
    assert suppress(boxes, groups, most, limit=20).tolist() == expected[:20]


@given(seed=SEEDS, count=st.integers(0, 60), most=OVERLAPS)
@settings(max_examples=60, deadline=None)
def test_fast_nms_keeps_what_no_better_box_overlaps(seed: int, count: int, most: float) -> None:
    boxes = draw_boxes(seed, count)
    plain = boxes.tolist()
    expected = [
        place
        for place, box in enumerate(plain)
        if not any(exceeds(better, box, most) for better in plain[:place])
    ]
    assert suppress_fast(boxes, most).tolist() == expected


def iou_slowly(one: Mask, other: Mask) -> float:
    union = (one | other).sum()
    return float((one & other).sum() / union) if union else 0.0


def decay_slowly(scores: Floats, classes: Ints, masks: Mask, sigma: float) -> list[float]:
    """SOLOv2, sec. 3.3: each pair of masks of a class, in loops."""
    decayed = []
    for place, score in enumerate(scores):
        factor = 1.0
        for better in (one for one in range(place) if classes[one] == classes[place]):
            above = (one for one in range(better) if classes[one] == classes[better])
            most = max((iou_slowly(masks[one], masks[better]) for one in above), default=0.0)
            iou = iou_slowly(masks[better], masks[place])
            factor = min(factor, math.exp(-sigma * iou**2) / math.exp(-sigma * most**2))
        decayed.append(float(score) * factor)
    return decayed


@given(seed=SEEDS, count=st.integers(0, 25), sigma=st.sampled_from([0.5, 2.0]))
@settings(max_examples=60, deadline=None)
def test_matrix_nms_lowers_each_score_by_its_worst_pair(seed: int, count: int, sigma: float) -> None:
    random = np.random.default_rng(seed)
    fields = random.normal(0, 1, (count, 1, 6)).repeat(3, axis=1).astype(np.float32)
    scores = np.sort(random.uniform(0, 1, count))[::-1].astype(np.float32)
    found = Instances(
        classes=random.integers(0, 2, count),
        scores=scores,
        boxes_xyxy_canvas=np.zeros((count, 4), np.float32),
        mask_fields=fields,
        mask_level=0.0,
        window="none",
    )
    expected = decay_slowly(scores, found.classes, fields > 0, sigma)
    assert decay_scores(found, sigma).tolist() == pytest.approx(expected, rel=1e-5)
