"""YOLO's decoders against a slow, obvious one, and their masks against those drawn by Ultralytics' rule."""

from itertools import product
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest

from service.errors import SelfTestFailed
from service.inference.decoding.rows import decode_rows
from service.inference.decoding.selection import Criteria
from service.inference.decoding.yolo import decode_yolo
from service.inference.families import RowsDecoder, YoloDecoder
from service.inference.masks.forms import describe_masks, form_to_mask
from service.types import Floats, Heads, Instances, Nms, Placement, Size

CANVAS = Size(64, 96)
ANCHORS = 16 * 24 // 4 * 5 // 4  # not a multiple of anything
CLASSES, K = 3, 5


class Found(NamedTuple):
    score: float
    channel: int
    box: tuple[float, ...]
    coefficients: tuple[float, ...]


def draw_heads(seed: int, *, steps: int | None = None) -> tuple[Floats, Floats, Floats]:
    """Boxes [A, 4] (cx, cy, w, h), scores [A, C] and coefficients [A, K]; `steps` of scores make ties."""
    random = np.random.default_rng(seed)
    middles = random.uniform(0, [CANVAS.width, CANVAS.height], (ANCHORS, 2))
    boxes = np.hstack([middles.round(-1), random.uniform(8, 40, (ANCHORS, 2))]).astype(np.float32)
    scores = random.uniform(0, 1, (ANCHORS, CLASSES)).astype(np.float32)
    if steps:
        scores = (np.round(scores * steps) / steps).astype(np.float32)
    return boxes, scores, random.normal(0, 1, (ANCHORS, K)).astype(np.float32)


def draw_prototypes(seed: int = 0) -> Floats:
    """float32 [K, 16, 24], smooth enough for masks with some extent."""
    random = np.random.default_rng(seed)
    coarse = random.normal(0, 1, (K, 4, 6)).astype(np.float32)
    return np.stack([cv2.resize(plane, (24, 16), interpolation=cv2.INTER_CUBIC) for plane in coarse])


def compute_iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    areas = [max(box[2] - box[0], 0) * max(box[3] - box[1], 0) for box in (one, other)]
    return common / (sum(areas) - common) if sum(areas) > common else 0.0


def decode_slowly(
    parts: tuple[Floats, Floats, Floats],
    objectness: Floats | None = None,
    *,
    threshold: float,
    most: float = 0.7,
    limit: int = 300,
    classes: frozenset[int] | None = None,
    nms: Nms = "class",
) -> list[Found]:
    """Ultralytics' non_max_suppression, anchor by anchor."""
    found = []
    for anchor, (box, scores, coefficients) in enumerate(zip(*parts, strict=True)):
        factor = np.float32(1) if objectness is None else objectness[anchor]
        weighed = scores * factor
        channel = int(weighed.argmax())
        if weighed[channel] > np.float32(threshold) and (
            objectness is None or factor > np.float32(threshold)
        ):
            cx, cy, width, height = box
            corners = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
            values = tuple((coefficients * factor).tolist())
            found.append(Found(float(weighed[channel]), channel, tuple(map(float, corners)), values))
    if nms == "class" and classes is not None:
        found = [each for each in found if each.channel in classes]
    kept: list[Found] = []
    for each in sorted(found, key=lambda each: -each.score):
        rivals = [other for other in kept if nms == "all" or other.channel == each.channel]
        if len(kept) < limit and all(compute_iou(each.box, other.box) <= most for other in rivals):
            kept.append(each)
    return [each for each in kept if classes is None or each.channel in classes]


def lay_out(
    parts: tuple[Floats, Floats, Floats], decoder: YoloDecoder, objectness: Floats | None = None
) -> Heads:
    """The heads as the card describes them."""
    boxes, scores, coefficients = parts
    if decoder.normalised:
        boxes = (boxes / [CANVAS.width, CANVAS.height, CANVAS.width, CANVAS.height]).astype(np.float32)
    extra = [] if objectness is None else [objectness[:, None]]
    values = np.hstack([boxes, *extra, scores, coefficients]).astype(np.float32)
    prototypes = draw_prototypes()
    return {
        "output0": (values.T if decoder.anchors_last else values)[None],
        "output1": (np.moveaxis(prototypes, 0, -1) if decoder.prototypes_last else prototypes)[None],
    }


def check_equal(found: Instances, expected: list[Found]) -> None:
    assert len(found) == len(expected)
    assert found.classes.tolist() == [each.channel for each in expected]
    np.testing.assert_array_equal(found.scores, np.array([each.score for each in expected], np.float32))
    boxes = np.array([each.box for each in expected], np.float32).reshape(-1, 4)
    np.testing.assert_allclose(found.boxes_xyxy_canvas, boxes, atol=1e-4)
    coefficients = np.array([each.coefficients for each in expected]).reshape(-1, K)
    logits = np.tensordot(coefficients, draw_prototypes().astype(np.float64), 1)
    if found.mask_level == 0:
        np.testing.assert_allclose(found.mask_fields, logits, atol=1e-4)


@pytest.mark.parametrize(("seed", "steps"), [(1, None), (2, 8), (3, 2)])
@pytest.mark.parametrize("classes", [None, frozenset({1}), frozenset({0, 2})])
@pytest.mark.parametrize("nms", ["class", "all"])
def test_the_instances_are_those_of_the_reference(
    seed: int, steps: int | None, classes: frozenset[int] | None, nms: Nms
) -> None:
    decoder, parts = YoloDecoder(coefficients=K), draw_heads(seed, steps=steps)
    for threshold in (0.25, 0.5, 0.9):
        found = decode_yolo(lay_out(parts, decoder), decoder, Criteria(CANVAS, threshold, classes, nms))
        check_equal(found, decode_slowly(parts, threshold=threshold, classes=classes, nms=nms))


@pytest.mark.parametrize(("first", "last", "normalised"), list(product((True, False), repeat=3)))
def test_every_layout_gives_the_same_instances(first: bool, last: bool, normalised: bool) -> None:
    parts = draw_heads(4)
    decoder = YoloDecoder(
        coefficients=K, anchors_last=first, prototypes_last=last, normalised=normalised, overlap=0.45
    )
    found = decode_yolo(lay_out(parts, decoder), decoder, Criteria(CANVAS, 0.4))
    check_equal(found, decode_slowly(parts, threshold=0.4, most=0.45))


@pytest.mark.parametrize("seed", [5, 6])
def test_an_objectness_has_to_pass_alone_and_weighs_scores_and_coefficients(seed: int) -> None:
    parts = draw_heads(seed, steps=10)
    objectness = np.random.default_rng(seed).uniform(0, 1, ANCHORS).astype(np.float32)
    decoder = YoloDecoder(coefficients=K, objectness=True, anchors_last=False, overlap=0.45)
    found = decode_yolo(lay_out(parts, decoder, objectness), decoder, Criteria(CANVAS, 0.25))
    expected = decode_slowly(parts, objectness, threshold=0.25, most=0.45)
    assert expected
    check_equal(found, expected)


@pytest.mark.parametrize(("overlap", "count"), [(0.6, 1), (0.8, 2)])
def test_the_worse_of_two_boxes_goes_above_the_overlap(overlap: float, count: int) -> None:
    boxes = np.array([[40, 30, 20, 20], [40, 30, 20, 15]], np.float32)  # an IoU of 0.75
    parts = boxes, np.array([[0.9, 0, 0], [0.8, 0, 0]], np.float32), np.zeros((2, K), np.float32)
    decoder = YoloDecoder(coefficients=K, overlap=overlap)
    assert len(decode_yolo(lay_out(parts, decoder), decoder, Criteria(CANVAS, 0.25))) == count


def test_a_score_that_equals_the_threshold_fails_or_passes_by_the_card() -> None:
    boxes, coefficients = np.array([[40, 30, 20, 20]], np.float32), np.zeros((1, K), np.float32)
    parts = boxes, np.array([[0.25, 0, 0]], np.float32), coefficients
    counts = [
        len(decode_yolo(lay_out(parts, decoder), decoder, Criteria(CANVAS, 0.25)))
        for decoder in (YoloDecoder(coefficients=K), YoloDecoder(coefficients=K, comparison=">="))
    ]
    assert counts == [0, 1]


def test_thousands_of_boxes_end_at_the_limit() -> None:
    count = 3000
    random = np.random.default_rng(7)
    boxes = np.hstack([random.uniform(0, 90, (count, 2)), random.uniform(1, 9, (count, 2))]).astype(
        np.float32
    )
    scores = random.uniform(0.3, 1, (count, CLASSES)).astype(np.float32)
    parts = boxes, scores, random.normal(size=(count, K)).astype(np.float32)
    decoder = YoloDecoder(coefficients=K)
    found = decode_yolo(lay_out(parts, decoder), decoder, Criteria(CANVAS, 0.25))
    assert len(found) == 300
    check_equal(found, decode_slowly(parts, threshold=0.25))


def test_boxes_that_are_inside_out_suppress_nothing() -> None:
    boxes = np.array([[40, 30, -20, 20], [40, 30, 20, 20], [40, 30, -20, -20]], np.float32)
    scores = np.array([[0.9, 0, 0], [0.8, 0, 0], [0.7, 0, 0]], np.float32)
    parts = boxes, scores, np.zeros((3, K), np.float32)
    decoder = YoloDecoder(coefficients=K)
    found = decode_yolo(lay_out(parts, decoder), decoder, Criteria(CANVAS, 0.25))
    check_equal(found, decode_slowly(parts, threshold=0.25))


def test_nothing_is_found_among_low_scores() -> None:
    boxes, scores, coefficients = draw_heads(8)
    decoder = YoloDecoder(coefficients=K)
    found = decode_yolo(lay_out((boxes, scores * 0, coefficients), decoder), decoder, Criteria(CANVAS, 0.0))
    assert (len(found), found.mask_fields.shape) == (0, (0, 16, 24))


@pytest.mark.parametrize(("head", "row"), [("output0", 0), ("output0", 5), ("output0", -1), ("output1", 0)])
def test_a_value_that_is_no_number_is_an_error(head: str, row: int) -> None:
    decoder = YoloDecoder(coefficients=K)
    heads = dict(lay_out(draw_heads(9), decoder))
    heads[head] = heads[head].copy()
    heads[head][0, row] = np.nan
    with pytest.raises(SelfTestFailed, match="not finite"):
        decode_yolo(heads, decoder, Criteria(CANVAS, 0.25))


def draw_rows(count: int, seed: int = 0) -> Floats:
    """float32 [count + 4, 6 + K], best first; the last four rows are zeros."""
    boxes, scores, coefficients = (part[:count] for part in draw_heads(seed, steps=20))
    corners = np.hstack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2])
    best, channels = scores.max(axis=1, keepdims=True), scores.argmax(axis=1)[:, None]
    rows = np.hstack([corners, best, channels, coefficients]).astype(np.float32)
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    return np.vstack([rows, np.zeros((4, rows.shape[1]), np.float32)])


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("classes", [None, frozenset({2})])
@pytest.mark.parametrize("normalised", [True, False])
def test_final_rows_are_taken_as_they_are(
    threshold: float, classes: frozenset[int] | None, normalised: bool
) -> None:
    rows = draw_rows(50)
    decoder = RowsDecoder(coefficients=K, normalised=normalised)
    given = rows.copy()
    if normalised:
        given[:, :4] /= [CANVAS.width, CANVAS.height] * 2
    found = decode_rows(
        {"output0": given[None], "output1": draw_prototypes()[None]},
        decoder,
        Criteria(CANVAS, threshold, classes),
    )
    expected = [
        Found(float(row[4]), int(row[5]), tuple(row[:4].tolist()), tuple(row[6:].tolist()))
        for row in rows
        if row[4] > np.float32(threshold) and (classes is None or int(row[5]) in classes)
    ]
    check_equal(found, expected)


def test_one_of_two_classes_of_a_box_goes_where_all_are_compared() -> None:
    rows = np.zeros((1, 2, 6 + K), np.float32)
    rows[0, :, :6] = [[10, 10, 30, 30, 0.9, 0], [10, 10, 30, 30, 0.8, 1]]
    heads = {"output0": rows, "output1": draw_prototypes()[None]}
    decoder = RowsDecoder(coefficients=K)
    counts = [len(decode_rows(heads, decoder, Criteria(CANVAS, 0.25, None, nms))) for nms in ("class", "all")]
    assert counts == [2, 1]


def draw_masks(found: Instances, prototypes: Floats, coefficients: Floats, *, in_cells: bool) -> list[Any]:
    """The masks on the canvas by Ultralytics' process_mask, or YOLOv5's where cells are cropped."""
    rows, columns = np.mgrid[: CANVAS.height, : CANVAS.width]
    masks = []
    for box, weights in zip(found.boxes_xyxy_canvas, coefficients, strict=True):
        x1, y1, x2, y2 = box
        field = np.tensordot(weights, prototypes, 1)
        if in_cells:
            down, across = np.mgrid[:16, :24]
            inside = (across >= x1 / 4) & (across < x2 / 4) & (down >= y1 / 4) & (down < y2 / 4)
            field = inside / (1 + np.exp(-field))
        large = cv2.resize(field.astype(np.float32), (CANVAS.width, CANVAS.height))
        inside = (columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2)
        masks.append(large > 0.5 if in_cells else (large > 0) & inside)
    return masks


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("crop", ["pixels", "cells"])
def test_masks_are_those_that_are_drawn_to_the_pixel(crop: Any, seed: int) -> None:
    parts = draw_heads(20 + seed)
    decoder = YoloDecoder(coefficients=K, crop=crop)
    found = decode_yolo(lay_out(parts, decoder), decoder, Criteria(CANVAS, 0.5))
    expected = decode_slowly(parts, threshold=0.5)
    coefficients = np.array([each.coefficients for each in expected], np.float32)
    drawn = draw_masks(found, draw_prototypes(), coefficients, in_cells=crop == "cells")
    traced = describe_masks(found, Placement(CANVAS, CANVAS, CANVAS), "rle")
    assert sum(mask.sum() for mask in drawn) > 1000
    for (rle, _), mask in zip(traced, drawn, strict=True):
        assert rle is not None
        np.testing.assert_array_equal(form_to_mask(rle, CANVAS), mask)
