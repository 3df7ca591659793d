"""Ground truth: positives, negatives, and cells that are neither."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from service.types import Size
from training.data.annotations import Annotation, Picture
from training.data.augment import Scene, View, fit_view
from training.data.batch import Batch, join_batches
from training.data.groundtruth import (
    TargetRules,
    centre_cell,
    draw_gaussian,
    draw_targets,
    gaussian_radius,
    mass_centre,
)
from training.data.masks import Bitmap

sides = st.floats(1, 300)


@given(sides, sides, st.floats(0.1, 0.9))
def test_boxes_moved_by_the_radius_keep_the_overlap_and_by_more_do_not(
    height: float, width: float, overlap: float
) -> None:
    def worst_iou(radius: float) -> float:
        area = height * width
        shifted = (height - radius) * (width - radius)
        shrunk = max(0.0, height - 2 * radius) * max(0.0, width - 2 * radius)
        grown = (height + 2 * radius) * (width + 2 * radius)
        return min(shifted / (2 * area - shifted), shrunk / area, area / grown)

    radius = gaussian_radius(height, width, overlap)
    assert worst_iou(radius) == pytest.approx(overlap)
    assert worst_iou(radius * 1.01) < overlap


def test_a_gaussian_has_its_peak_at_the_cell_and_sigma_a_sixth_of_its_width() -> None:
    heat = np.zeros((9, 9), np.float32)
    draw_gaussian(heat, (4, 3), radius=2)
    sigma = 5 / 6
    assert heat[4, 3] == 1
    assert heat[4, 4] == pytest.approx(math.exp(-1 / (2 * sigma**2)))
    assert heat[6, 1] == pytest.approx(math.exp(-8 / (2 * sigma**2)))
    assert np.count_nonzero(heat) == 25


def test_a_gaussian_without_radius_is_one_cell() -> None:
    heat = np.zeros((3, 3), np.float32)
    draw_gaussian(heat, (0, 2), radius=0)
    assert np.argwhere(heat).tolist() == [[0, 2]]


def test_where_gaussians_meet_the_higher_stays() -> None:
    heat, other = np.zeros((5, 9), np.float32), np.zeros((5, 9), np.float32)
    draw_gaussian(heat, (2, 3), radius=2)
    draw_gaussian(other, (2, 5), radius=2)
    expected = np.maximum(heat, other)
    draw_gaussian(heat, (2, 5), radius=2)
    assert (heat == expected).all()


def test_a_gaussian_is_cut_off_at_the_border() -> None:
    whole, cut = np.zeros((9, 9), np.float32), np.zeros((5, 5), np.float32)
    draw_gaussian(whole, (4, 4), radius=3)
    draw_gaussian(cut, (0, 4), radius=3)
    assert (cut[:, :] == whole[4:, :5]).all()


def test_the_mass_centre_of_an_l_is_not_its_boxs_centre() -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[:, 0] = 1
    mask[3, :] = 1
    expected = [(4 * 0.5 + 1.5 + 2.5 + 3.5) / 7, (0.5 + 1.5 + 2.5 + 4 * 3.5) / 7]
    assert mass_centre(mask).tolist() == pytest.approx(expected)


def test_an_empty_mask_has_no_mass_centre() -> None:
    assert np.isnan(mass_centre(np.zeros((3, 0), np.uint8))).all()


@pytest.mark.parametrize(
    ("point", "cell"), [((0, 0), (0, 0)), ((3.9, 4.0), (1, 0)), ((64, 32), (7, 15)), ((-1, 31.9), (7, 0))]
)
def test_a_point_belongs_to_the_cell_that_covers_it(
    point: tuple[float, float], cell: tuple[int, int]
) -> None:
    assert centre_cell(np.array(point), Size(32, 64)) == cell


CANVAS = Size(64, 64)
CLASSES = 3
DEFAULT = TargetRules()


def rectangle(left: int, top: int, right: int, bottom: int) -> Bitmap:
    mask = np.zeros((64, 64), np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def annotate(mask: Bitmap, *, label: int = 0, masked: bool = True, ignored: bool = False) -> Annotation:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top, width, height = columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1
    counts = coco_mask.encode(np.asfortranarray(mask))["counts"] if masked else None
    return Annotation(label, (float(left), float(top), float(width), float(height)), counts, ignored)


def draw(
    *annotations: Annotation,
    unlabelled: frozenset[int] = frozenset(),
    enclosed: frozenset[int] = frozenset(),
    view: View | None = None,
    rules: TargetRules = DEFAULT,
) -> Batch:
    picture = Picture(Path("picture.png"), CANVAS, annotations, unlabelled, enclosed)
    pixels: Any = np.zeros((64, 64, 3), np.uint8)
    return draw_targets(
        Scene(picture, pixels),
        view or fit_view(CANVAS, CANVAS),
        classes=CLASSES,
        rules=rules,
        random=np.random.default_rng(0),
    )


def test_an_object_is_a_positive_at_its_centre_with_its_box_and_mask() -> None:
    batch = draw(annotate(rectangle(8, 16, 40, 32), label=1))
    assert batch.cell.tolist() == [[6, 6]]  # the centre is (24, 24)
    assert batch.size.tolist() == [[24 - 8, 24 - 16, 40 - 24, 32 - 24]]
    assert (batch.heatmap[0] == 1).nonzero().tolist() == [[6, 6, 1]]
    assert batch.mask[0].nonzero().tolist() == [[i, j] for i in range(4, 8) for j in range(2, 10)]
    assert batch.masked.tolist() == [True]
    assert batch.label.tolist() == [1]
    assert batch.counted.all()


def test_the_mass_centre_is_the_default_and_the_boxs_can_be_chosen() -> None:
    mask = rectangle(0, 0, 8, 64) | rectangle(0, 56, 64, 64)  # an L
    mass, box = (draw(annotate(mask), rules=TargetRules(centre=centre)) for centre in ("mass", "box"))
    assert box.cell.tolist() == [[8, 8]]
    columns, rows = np.flatnonzero(mask) % 64 + 0.5, np.flatnonzero(mask) // 64 + 0.5
    assert mass.cell.tolist() == [[int(rows.mean() // 4), int(columns.mean() // 4)]]
    assert mass.cell.tolist() != box.cell.tolist()


def test_an_object_without_mask_is_a_positive_at_its_boxs_centre_without_mask() -> None:
    batch = draw(annotate(rectangle(8, 16, 40, 32), masked=False))
    assert batch.cell.tolist() == [[6, 6]]
    assert batch.masked.tolist() == batch.sample_masked.tolist() == [False]
    assert batch.mask.shape == (0, 16, 16)


def test_a_cropped_object_is_centred_on_the_mass_that_is_left() -> None:
    view = View(CANVAS, CANVAS, CANVAS, offset_x=-24)
    batch = draw(annotate(rectangle(8, 16, 40, 32)), view=view)
    assert batch.cell.tolist() == [[6, 2]]  # x from 0 to 16 is left of it: the centre is 8
    assert batch.size.tolist() == [[8, 8, 8, 8]]


def test_a_mirrored_object_is_a_positive_where_it_is_seen() -> None:
    view = View(CANVAS, CANVAS, CANVAS, mirrored=True)
    batch = draw(annotate(rectangle(8, 16, 40, 32)), view=view)
    assert batch.cell.tolist() == [[6, 10]]
    assert batch.mask[0].any(dim=0).nonzero().flatten().tolist() == list(range(6, 14))


def test_masks_can_be_drawn_finer_than_the_heatmap() -> None:
    batch = draw(annotate(rectangle(8, 16, 40, 32)), rules=TargetRules(resolution=3))
    assert batch.mask.shape == (1, 48, 48)
    assert batch.mask[0].nonzero().tolist() == [[i, j] for i in range(12, 24) for j in range(6, 30)]


def test_an_unlabelled_label_has_no_negatives() -> None:
    counted = draw(unlabelled=frozenset({1})).counted[0]
    assert not counted[:, :, 1].any()
    assert counted[:, :, [0, 2]].all()


def test_an_object_of_an_unlabelled_label_counts_with_its_neighbourhood() -> None:
    rules = TargetRules(overlap=0.3)
    batch = draw(annotate(rectangle(8, 8, 56, 56), label=1), unlabelled=frozenset({1}), rules=rules)
    assert (batch.heatmap == 1).sum() == 1
    assert batch.counted[0, :, :, 1].equal(batch.heatmap[0, :, :, 1] > 0)
    assert batch.counted[0, :, :, 1].sum() > 1


def test_where_a_crowd_is_its_label_has_no_negatives() -> None:
    batch = draw(annotate(rectangle(8, 16, 40, 32), label=2, ignored=True))
    forgiven = ~batch.counted[0, :, :, 2]
    assert forgiven.nonzero().tolist() == [[i, j] for i in range(4, 8) for j in range(2, 10)]
    assert batch.counted[0, :, :, :2].all()
    assert not batch.heatmap.any()
    assert len(batch.cell) == 0


def test_a_crowd_known_as_a_box_forgives_the_cells_it_touches() -> None:
    batch = draw(annotate(rectangle(9, 17, 39, 31), ignored=True, masked=False))
    forgiven = ~batch.counted[0, :, :, 0]
    assert forgiven.nonzero().tolist() == [[i, j] for i in range(4, 8) for j in range(2, 10)]


def test_a_crowd_with_a_mask_forgives_no_more_than_the_mask() -> None:
    mask = rectangle(0, 0, 8, 64) | rectangle(0, 56, 64, 64)
    forgiven = ~draw(annotate(mask, ignored=True)).counted[0, :, :, 0]
    assert forgiven.sum() == 2 * 16 + 2 * 16 - 4


def test_an_object_in_a_crowd_is_still_a_positive() -> None:
    crowd = annotate(rectangle(0, 0, 64, 64), ignored=True)
    batch = draw(crowd, annotate(rectangle(8, 16, 40, 32)))
    assert (batch.heatmap == 1).sum() == 1
    assert len(batch.cell) == 1


@pytest.mark.parametrize(
    ("view", "box"),
    [
        (View(CANVAS, CANVAS, CANVAS), (8, 8, 10, 40)),  # too thin
        (View(CANVAS, CANVAS, CANVAS, offset_x=-36), (8, 16, 40, 32)),  # an eighth is left
    ],
)
def test_what_is_too_small_or_too_far_out_is_neither_positive_nor_negative(
    view: View, box: tuple[int, int, int, int]
) -> None:
    batch = draw(annotate(rectangle(*box)), view=view)
    assert len(batch.cell) == 0
    assert not batch.heatmap.any()
    assert 0 < (~batch.counted[0, :, :, 0]).sum() < 40


def test_what_is_off_the_canvas_leaves_no_trace() -> None:
    batch = draw(annotate(rectangle(0, 0, 16, 16)), view=View(CANVAS, CANVAS, CANVAS, offset_x=-20))
    assert len(batch.cell) == 0
    assert batch.counted.all()


def test_joined_batches_keep_every_object_with_its_image() -> None:
    one = annotate(rectangle(8, 16, 40, 32))
    joined = join_batches([draw(one), draw(), draw(one, one)])
    assert joined.image.tolist() == [0, 2, 2]
    assert joined.pixels.shape == (3, 64, 64, 3)
    assert joined.mask.shape == (3, 16, 16)
    assert joined.sample_object.tolist() == [0, 1, 2]


def test_the_papers_only_sample_is_the_cell_of_the_centre() -> None:
    batch = draw(annotate(rectangle(8, 16, 40, 32), label=1))
    assert batch.sample_object.tolist() == [0]
    assert batch.sample_cell.equal(batch.cell)
    assert batch.sample_size.equal(batch.size)
    assert batch.sample_weight.tolist() == [1]
    assert batch.sample_masked.tolist() == [True]


def test_dense_samples_each_measure_from_their_own_cell() -> None:
    rules = TargetRules(dense=0.54, mask_cells=3)
    batch = draw(
        annotate(rectangle(8, 16, 40, 32)), annotate(rectangle(0, 0, 8, 8), masked=False), rules=rules
    )
    first = batch.sample_object == 0
    assert first.sum() == 5 * 3  # radius 0.54 * 32 / 2 / 4 = 2 to each side, and 1 up and down
    assert batch.sample_cell[first].tolist()[0] == batch.cell[0].tolist() == [6, 6]
    corner = (batch.sample_cell == torch.tensor([5, 4])).all(dim=1) & first
    assert batch.sample_size[corner].tolist() == [[16 - 8, 20 - 16, 40 - 16, 32 - 20]]
    assert batch.sample_weight[first].sum().item() == pytest.approx(1)
    assert batch.sample_masked[first].sum() == 3
    assert batch.sample_masked[first][0]
    assert not batch.sample_masked[~first].any()


@pytest.mark.parametrize("enclosed", [True, False])
def test_background_inside_a_masked_object_counts_for_enclosed_labels(enclosed: bool) -> None:
    everything = frozenset(range(CLASSES))
    batch = draw(
        annotate(rectangle(8, 16, 40, 32), label=1),
        annotate(rectangle(48, 48, 60, 60), label=1, masked=False),
        unlabelled=everything,
        enclosed=frozenset({1, 2}),
        rules=TargetRules(enclosed=enclosed),
    )
    counted = batch.counted[0]
    inside = torch.zeros(16, 16, dtype=torch.bool)
    inside[4:8, 2:10] = enclosed
    assert counted[:, :, 2].equal(inside)
    assert counted[:, :, 1].equal(inside | (batch.heatmap[0, :, :, 1] > 0))
    assert not counted[:, :, 0].any()
