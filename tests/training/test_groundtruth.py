"""What the network is asked for, and above all what it is not blamed for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from service.types import Size
from training.annotations import Annotation, Bitmap, Picture
from training.augment import View, fit_view
from training.batch import Batch, join_batches
from training.copy_paste import Scene
from training.groundtruth import TargetRules, draw_targets

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
    silent: frozenset[int] = frozenset(),
    enclosed: frozenset[int] = frozenset(),
    view: View | None = None,
    rules: TargetRules = DEFAULT,
) -> Batch:
    picture = Picture(Path("picture.png"), CANVAS, annotations, silent, enclosed)
    pixels: Any = np.zeros((64, 64, 3), np.uint8)
    return draw_targets(
        Scene(picture, pixels),
        view or fit_view(CANVAS, CANVAS),
        classes=CLASSES,
        rules=rules,
        random=np.random.default_rng(0),
    )


def test_an_object_is_asked_for_at_its_centre_with_its_box_and_mask() -> None:
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


def test_an_object_without_mask_is_asked_for_at_its_boxs_centre_without_mask() -> None:
    batch = draw(annotate(rectangle(8, 16, 40, 32), masked=False))
    assert batch.cell.tolist() == [[6, 6]]
    assert batch.masked.tolist() == batch.sample_masked.tolist() == [False]
    assert batch.mask.shape == (0, 16, 16)


def test_a_cropped_object_is_centred_on_the_mass_that_is_left() -> None:
    view = View(CANVAS, CANVAS, CANVAS, offset_x=-24)
    batch = draw(annotate(rectangle(8, 16, 40, 32)), view=view)
    assert batch.cell.tolist() == [[6, 2]]  # x from 0 to 16 is left of it: the centre is 8
    assert batch.size.tolist() == [[8, 8, 8, 8]]


def test_a_mirrored_object_is_asked_for_where_it_is_seen() -> None:
    view = View(CANVAS, CANVAS, CANVAS, mirrored=True)
    batch = draw(annotate(rectangle(8, 16, 40, 32)), view=view)
    assert batch.cell.tolist() == [[6, 10]]
    assert batch.mask[0].any(dim=0).nonzero().flatten().tolist() == list(range(6, 14))


def test_masks_can_be_drawn_finer_than_the_heatmap() -> None:
    batch = draw(annotate(rectangle(8, 16, 40, 32)), rules=TargetRules(resolution=3))
    assert batch.mask.shape == (1, 48, 48)
    assert batch.mask[0].nonzero().tolist() == [[i, j] for i in range(12, 24) for j in range(6, 30)]


def test_a_silent_label_has_no_negatives() -> None:
    counted = draw(silent=frozenset({1})).counted[0]
    assert not counted[:, :, 1].any()
    assert counted[:, :, [0, 2]].all()


def test_an_object_of_a_silent_label_counts_with_its_neighbourhood() -> None:
    rules = TargetRules(overlap=0.3)
    batch = draw(annotate(rectangle(8, 8, 56, 56), label=1), silent=frozenset({1}), rules=rules)
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


def test_an_object_in_a_crowd_is_still_asked_for() -> None:
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
def test_what_is_too_small_or_too_far_out_is_neither_asked_for_nor_forbidden(
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
        silent=everything,
        enclosed=frozenset({1, 2}),
        rules=TargetRules(enclosed=enclosed),
    )
    counted = batch.counted[0]
    inside = torch.zeros(16, 16, dtype=torch.bool)
    inside[4:8, 2:10] = enclosed
    assert counted[:, :, 2].equal(inside)
    assert counted[:, :, 1].equal(inside | (batch.heatmap[0, :, :, 1] > 0))
    assert not counted[:, :, 0].any()
