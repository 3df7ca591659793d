import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from service.errors import SelfTestFailed
from service.inference.decoding.centers import decode_centers, share_inside
from service.inference.decoding.selection import Criteria, suppress
from service.inference.families import CentersDecoder
from service.types import Floats, Heads, Instances, Nms, Size

K = 3
DECODER = CentersDecoder(coefficients=K)
CANVAS = Size(64, 64)  # this family does not look at it
ALL = 10_000  # instances: no limit
LEVELS = [0.0, 0.125, 0.25, 0.5, 0.75, 1.0]  # few, so that there are plateaus and ties


def make_heads(heatmap: Floats, seed: int = 0) -> dict[str, Floats]:
    """Random heads around a heatmap [h, w, C]."""
    random = np.random.default_rng(seed)
    cells = heatmap.shape[:2]
    channels = {"size": 4, "coefficients": K, "spanning_set": K}
    heads = {name: random.uniform(-9, 30, (1, *cells, count)) for name, count in channels.items()}
    return {"heatmap": heatmap[None]} | {name: head.astype(np.float32) for name, head in heads.items()}


def decode(
    heads: Heads,
    threshold: float = 0.3,
    classes: frozenset[int] | None = None,
    nms: Nms = "class",
    **rules: float,
) -> Instances:
    """The instances by a decoder with these fields changed."""
    decoder = DECODER.model_copy(update=rules)
    return decode_centers(heads, decoder, Criteria(CANVAS, threshold, classes, nms))


def decode_slowly(heads: Heads, threshold: float) -> list[tuple[float, int, list[float], Floats]]:
    """The paper's section 3.3, cell by cell: score, class, box, field; of equal neighbours the first only."""
    heatmap, sizes, coefficients, basis = (
        heads[name][0] for name in ("heatmap", "size", "coefficients", "spanning_set")
    )
    found = []
    for i, j, c in np.ndindex(heatmap.shape):
        top, left = max(0, i - 1), max(0, j - 1)
        window = heatmap[top : i + 2, left : j + 2, c]
        pooled = window.max()
        ties = [(top + p, left + q) < (i, j) for p, q in np.argwhere(window == pooled).tolist()]
        if heatmap[i, j, c] == pooled and pooled >= max(threshold, 1e-9) and not any(ties):
            left, top, right, bottom = sizes[i, j].tolist()
            box = [4 * j - left, 4 * i - top, 4 * j + right, 4 * i + bottom]
            field = sum(coefficients[i, j, k] * basis[:, :, k] for k in range(K))
            found.append((float(pooled), c, box, field))
    return sorted(found, key=lambda each: -each[0])


heatmaps = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 3)),
    elements=st.sampled_from(LEVELS),
)


@given(heatmap=heatmaps, threshold=st.sampled_from([0.0, 0.2, 0.25, 0.6]), seed=st.integers(0, 9))
def test_it_finds_what_max_pooling_finds_in_the_same_order(
    heatmap: Floats, threshold: float, seed: int
) -> None:
    heads = make_heads(heatmap, seed)
    expected = decode_slowly(heads, threshold)
    found = decode(heads, threshold, max_instances=ALL)
    assert found.scores.tolist() == [score for score, *_ in expected]
    assert found.classes.tolist() == [channel for _, channel, *_ in expected]
    for index, (_, _, box, field) in enumerate(expected):
        np.testing.assert_allclose(found.boxes_xyxy_canvas[index], box, atol=1e-4)
        np.testing.assert_allclose(found.mask_fields[index], field, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("values", [LEVELS, np.linspace(0.001, 1, 99)])
def test_a_threshold_that_most_cells_exceed_changes_nothing(values: list[float]) -> None:
    heatmap = np.random.default_rng(0).choice(np.array(values, np.float32), (24, 25, 2))
    heads = make_heads(heatmap)
    expected = [(score, channel, box) for score, channel, box, _ in decode_slowly(heads, 0.0)]
    found = decode(heads, threshold=0.0, max_instances=ALL)
    assert found.scores.tolist() == [score for score, *_ in expected]
    assert found.classes.tolist() == [channel for _, channel, _ in expected]
    np.testing.assert_allclose(found.boxes_xyxy_canvas, [box for *_, box in expected], atol=1e-4)


@given(heatmap=heatmaps, limit=st.integers(1, 5))
def test_a_limit_keeps_the_best_peaks(heatmap: Floats, limit: int) -> None:
    heads = make_heads(heatmap)
    everything, best = decode(heads), decode(heads, max_instances=limit)
    assert (best.scores == everything.scores[:limit]).all()
    assert (best.boxes_xyxy_canvas == everything.boxes_xyxy_canvas[:limit]).all()


@given(heatmap=heatmaps, classes=st.frozensets(st.integers(0, 2), min_size=1))
def test_asking_for_classes_takes_them_out_of_the_full_answer(
    heatmap: Floats, classes: frozenset[int]
) -> None:
    heads = make_heads(heatmap)
    everything, chosen = decode(heads, max_instances=ALL), decode(heads, max_instances=ALL, classes=classes)
    wanted = np.isin(everything.classes, list(classes))
    assert (chosen.classes == everything.classes[wanted]).all()
    assert (chosen.scores == everything.scores[wanted]).all()


@pytest.mark.parametrize(
    "cells", [[(1, 2), (1, 3)], [(1, 2), (2, 2)], [(1, 2), (2, 1)], [(1, 2), (2, 2), (2, 3)]]
)
def test_a_blunt_peak_is_one_object_at_its_first_cell(cells: list[tuple[int, int]]) -> None:
    heatmap = np.zeros((4, 5, 1), np.float32)
    for cell in cells:
        heatmap[cell] = 0.5
    heads = make_heads(heatmap)
    heads["size"][...] = 2
    assert decode(heads).boxes_xyxy_canvas.tolist() == [[6, 2, 10, 6]]


def test_equal_scores_of_two_classes_are_two_objects() -> None:
    assert len(decode(make_heads(np.full((1, 1, 2), 0.5, np.float32)))) == 2


def test_the_threshold_is_the_lowest_score() -> None:
    heatmap = np.zeros((4, 4, 1), np.float32)
    heatmap[1, 2, 0] = 0.35
    score = float(heatmap[1, 2, 0])  # not 0.35, which has no float32
    assert len(decode(make_heads(heatmap), threshold=score)) == 1
    assert len(decode(make_heads(heatmap), threshold=score + 1e-4)) == 0


def test_a_score_of_0_is_no_object() -> None:
    assert len(decode(make_heads(np.zeros((4, 4, 1), np.float32)), threshold=0.0)) == 0


def test_two_classes_may_share_a_cell() -> None:
    heatmap = np.zeros((4, 4, 2), np.float32)
    heatmap[1, 2] = [0.5, 0.75]
    found = decode(make_heads(heatmap))
    assert found.classes.tolist() == [1, 0]
    assert (found.boxes_xyxy_canvas[0] == found.boxes_xyxy_canvas[1]).all()


def test_nothing_found_has_the_shapes_of_something_found() -> None:
    found = decode(make_heads(np.zeros((4, 5, 2), np.float32)))
    assert found.boxes_xyxy_canvas.shape == (0, 4)
    assert found.mask_fields.shape == (0, 4, 5)
    assert found.classes.dtype == np.int64
    assert {each.dtype.name for each in (found.scores, found.boxes_xyxy_canvas, found.mask_fields)} == {
        "float32"
    }


@pytest.mark.parametrize("stride", [4, 8])
def test_the_stride_is_the_decoders(stride: int) -> None:
    heatmap = np.zeros((4, 4, 1), np.float32)
    heatmap[1, 2, 0] = 0.5
    heads = make_heads(heatmap)
    heads["size"][...] = 1
    found = decode_centers(heads, CentersDecoder(stride=stride), Criteria(CANVAS, 0.1))
    assert found.boxes_xyxy_canvas.tolist() == [[2 * stride - 1, stride - 1, 2 * stride + 1, stride + 1]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("head", ["heatmap", "size", "coefficients", "spanning_set"])
def test_values_that_are_not_finite_are_refused(head: str, value: float) -> None:
    heatmap = np.zeros((4, 4, 1), np.float32)
    heatmap[1, 2, 0] = 0.5
    heads = make_heads(heatmap)
    heads[head][0, 1, 2] = value
    with pytest.raises(SelfTestFailed, match="not finite"):
        decode(heads)


def test_a_class_that_nobody_asked_for_is_refused_all_the_same_where_it_is_not_finite() -> None:
    heads = make_heads(np.full((4, 4, 2), 0.1, np.float32))
    heads["heatmap"][0, 1, 2, 1] = np.nan
    with pytest.raises(SelfTestFailed, match="not finite"):
        decode(heads, classes=frozenset({0}))


def test_a_model_of_boxes_only_has_instances_without_fields() -> None:
    heatmap = np.zeros((4, 5, 2), np.float32)
    heatmap[1, 2, 1] = 0.9
    heads = make_heads(heatmap)
    boxes = {name: heads[name] for name in ("heatmap", "size")}
    found = decode_centers(boxes, CentersDecoder(coefficients=0), Criteria(CANVAS, 0.3))
    np.testing.assert_array_equal(found.boxes_xyxy_canvas, decode(heads).boxes_xyxy_canvas)
    assert found.mask_fields.shape == (1, 0, 0)


def make_spilt_heads() -> dict[str, Floats]:
    """Two peaks of class 0: the better one's mask is half outside of its box, the other's is inside."""
    heatmap = np.zeros((8, 8, 1), np.float32)
    heatmap[2, 2], heatmap[6, 6] = 0.8, 0.75
    heads = make_heads(heatmap)
    heads["size"][0, :, :] = 8.0  # from two cells before the peak to two cells after it
    heads["coefficients"][0] = 0
    heads["coefficients"][0, 2, 2, 0] = heads["coefficients"][0, 6, 6, 1] = 1
    heads["spanning_set"][0] = -1
    heads["spanning_set"][0, 0:4, :, 0] = 1
    heads["spanning_set"][0, 4:8, 4:8, 1] = 1
    return heads


def test_a_mask_that_spills_over_its_box_costs_its_object_a_part_of_its_score() -> None:
    heads = make_spilt_heads()
    assert decode(heads).scores.tolist() == pytest.approx([0.8, 0.75])
    found = decode(heads, containment=0.5)
    assert found.scores.tolist() == pytest.approx([0.75, 0.8 * 0.5**0.5])
    assert found.boxes_xyxy_canvas[0].tolist() == [16, 16, 32, 32]
    assert decode(heads, threshold=0.6, containment=0.5).scores.tolist() == pytest.approx([0.75])
    assert len(decode(heads, threshold=float(found.scores[1]), containment=0.5)) == 2


def test_a_model_of_boxes_has_nothing_that_could_spill() -> None:
    heads = make_spilt_heads()
    assert len(decode(heads, coefficients=0, containment=0.5)) == 2


def test_of_two_boxes_in_one_place_the_better_by_its_final_score_stays() -> None:
    heads = make_spilt_heads()
    heads["size"][0, 2, 2] = [8, 0, 24, 24]
    heads["size"][0, 6, 6] = [24, 16, 8, 8]
    assert decode(heads).boxes_xyxy_canvas.tolist() == [[0, 8, 32, 32]] * 2
    assert decode(heads, overlap=0.6).scores.tolist() == pytest.approx([0.8])
    assert decode(heads, overlap=0.6, containment=0.5).scores.tolist() == pytest.approx([0.75])


fields = hnp.arrays(
    np.float32,
    st.tuples(st.integers(0, 4), st.integers(1, 6), st.integers(1, 6)),
    elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0]),
)


def share_slowly(field: Floats, box: Floats, level: float) -> float:
    """Cell by cell."""
    height, width = field.shape
    left, top = (max(int(np.floor(value)), 0) for value in box[:2])
    left, top = min(left, width - 1), min(top, height - 1)
    right, bottom = (int(np.ceil(value)) for value in box[2:])
    inside = field[top : max(bottom, top + 1), left : max(right, left + 1)] > level
    return float(inside.sum() / max(1, (field > level).sum()))


@given(fields=fields, level=st.sampled_from([0.0, 0.25]), seed=st.integers(0, 99))
def test_it_is_what_counting_cells_gives(fields: Floats, level: float, seed: int) -> None:
    corners = np.random.default_rng(seed).uniform(-3, 9, (len(fields), 4)).astype(np.float32)
    boxes = np.concatenate([corners[:, :2], corners[:, :2] + abs(corners[:, 2:])], axis=1)
    expected = [share_slowly(field, box, level) for field, box in zip(fields, boxes, strict=True)]
    found = share_inside(fields, boxes, level)
    assert found.dtype == np.float32
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("box", "share"),
    [
        ([0, 0, 4, 4], 1.0),
        ([1, 1, 2, 2], 1 / 16),
        ([1.5, 1.5, 1.6, 1.6], 1 / 16),  # no centre of a cell is in it, but it touches one
        ([-9, -9, -8, -8], 1 / 16),  # the nearest
        ([3.5, 0, 99, 99], 4 / 16),
    ],
)
def test_a_box_holds_the_cells_it_touches(box: list[float], share: float) -> None:
    field = np.ones((1, 4, 4), np.float32)
    assert share_inside(field, np.array([box], np.float32), 0.0).tolist() == [share]


def test_of_an_empty_mask_nothing_is_inside() -> None:
    assert share_inside(np.zeros((1, 4, 4), np.float32), np.array([[0, 0, 4, 4]], np.float32), 0.0) == 0


def make_boxes(count: int, seed: int) -> Floats:
    corners = np.random.default_rng(seed).integers(0, 6, (count, 2, 2)).astype(np.float32)
    return np.concatenate([corners.min(axis=1), corners.max(axis=1) + 1], axis=1)


@given(count=st.integers(0, 12), seed=st.integers(0, 999), most=st.sampled_from([0.3, 0.5, 0.6, 0.99]))
def test_it_keeps_what_greedy_suppression_keeps(count: int, seed: int, most: float) -> None:
    boxes = make_boxes(count, seed)
    classes = np.random.default_rng(seed).integers(0, 2, count)
    corners_xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).astype(np.float64)
    kept: list[int] = []
    for number in range(count):
        rivals = [other for other in kept if classes[other] == classes[number]]
        ious = (
            coco_mask.iou(corners_xywh[[number]], corners_xywh[rivals], [0] * len(rivals)) if rivals else []
        )
        if not (np.array(ious) > most).any():
            kept.append(number)
    assert suppress(boxes, classes, most).tolist() == kept


@pytest.mark.parametrize(("classes", "kept"), [([0, 0, 0], [0, 2]), ([0, 1, 0], [0, 1, 2])])
def test_only_a_better_one_of_the_same_class_is_a_rival(classes: list[int], kept: list[int]) -> None:
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 8], [0, 0, 9, 6]], np.float32)
    assert suppress(boxes, np.array(classes), 0.7).tolist() == kept


def test_a_box_without_area_clashes_with_nothing() -> None:
    boxes = np.array([[3, 3, 3, 3], [3, 3, 3, 3], [5, 5, 2, 9]], np.float32)
    assert suppress(boxes, np.zeros(3, np.int64), 0.5).tolist() == [0, 1, 2]


def make_twins() -> dict[str, Floats]:
    """One box, found as class 1 at 0.9, as class 0 at 0.8 and as class 2 at 0.7; elsewhere class 0 at 0.6."""
    heatmap = np.zeros((8, 8, 3), np.float32)
    heatmap[2, 2] = [0.8, 0.9, 0.7]
    heatmap[6, 6, 0] = 0.6
    return make_heads(heatmap)


@pytest.mark.parametrize("overlap", [0.6, 1.0])
def test_one_object_gets_one_label_where_all_classes_are_compared(overlap: float) -> None:
    heads = make_twins()
    assert decode(heads, overlap=overlap).classes.tolist() == [1, 0, 2, 0]
    assert decode(heads, overlap=overlap, nms="all").classes.tolist() == [1, 0]


def test_an_object_of_another_class_does_not_appear_under_the_class_that_is_asked_for() -> None:
    assert decode(make_twins(), classes=frozenset({0})).scores.tolist() == pytest.approx([0.8, 0.6])
    assert decode(make_twins(), classes=frozenset({0}), nms="all").scores.tolist() == pytest.approx([0.6])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 9999),
    nms=st.sampled_from(["class", "all"]),
    rank=st.integers(0, 40),
    containment=st.sampled_from([0.0, 0.25]),
)
@example(seed=0, nms="class", rank=0, containment=0.0)  # one mask alone
def test_an_answer_is_the_answer_at_a_lower_threshold_without_what_scores_less(
    seed: int, nms: Nms, rank: int, containment: float
) -> None:
    random = np.random.default_rng(seed)
    heads = make_heads(random.random((24, 30, 2)).astype(np.float32))
    for name in ("coefficients", "spanning_set"):  # 32 channels: long enough sums for a difference
        heads[name] = random.normal(size=(1, 24, 30, 32)).astype(np.float32)
    low = decode(heads, threshold=0.0, nms=nms, containment=containment, overlap=0.5)
    threshold = float(low.scores[min(rank, len(low) - 1)])
    high = decode(heads, threshold=threshold, nms=nms, containment=containment, overlap=0.5)
    count = int((low.scores >= threshold).sum())
    assert high.scores.tobytes() == low.scores[:count].tobytes()
    assert high.mask_fields.tobytes() == low.mask_fields[:count].tobytes()
    assert high.boxes_xyxy_canvas.tobytes() == low.boxes_xyxy_canvas[:count].tobytes()


@given(st.floats(0, 1))
def test_no_score_of_an_answer_lies_below_the_threshold_in_full_precision(threshold: float) -> None:
    near = np.float32(threshold)
    for score in (near, np.nextafter(near, np.float32(2)), np.nextafter(near, np.float32(-1))):
        heatmap = np.zeros((4, 4, 1), np.float32)
        heatmap[1, 1, 0] = score
        found = decode(make_heads(heatmap), threshold=threshold)
        assert len(found) == (float(score) >= threshold and score >= np.finfo(np.float32).tiny)
