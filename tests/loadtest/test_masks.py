"""The two ways of making masks must do the same work, or their ratio means nothing."""

import numpy as np
import pytest

from loadtest.blobs import draw_instances, fit_canvas
from loadtest.masks import encode_straightforwardly, measure_masks, to_table
from service.inference.masks.rle import decode_rle, encode_masks
from service.types import Rle, Size


@pytest.mark.parametrize("image", [Size(480, 640), Size(360, 640), Size(640, 360)])
def test_both_ways_give_the_same_masks_but_for_rounding(image: Size) -> None:
    placement = fit_canvas(image)
    instances = draw_instances(20, placement, seed=3)
    ours = encode_masks(instances, placement).rles
    theirs = [Rle(image, counts) for counts in encode_straightforwardly(instances, placement)]
    differing = [(decode_rle(a) != decode_rle(b)).sum() for a, b in zip(ours, theirs, strict=True)]
    assert max(differing) <= 2
    assert differing.count(0) >= 15


def test_drawn_objects_have_the_sizes_of_real_ones() -> None:
    placement = fit_canvas(Size(3000, 4000))
    boxes = draw_instances(400, placement, seed=1).boxes_xyxy_canvas
    sides = (boxes[:, 2:] - boxes[:, :2]) / [placement.placed.width, placement.placed.height]
    assert np.median(sides, axis=0) == pytest.approx([0.09, 0.14], rel=0.2)
    assert sides.max() <= 1.0001


def test_drawn_objects_nearly_fill_their_boxes() -> None:
    placement = fit_canvas(Size(600, 800))
    instances = draw_instances(50, placement, seed=2)
    boxes = placement.boxes_to_image(instances.boxes_xyxy_canvas)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    assert 0.3 < np.median(encode_masks(instances, placement).areas / area) < 0.9


def test_costs_are_measured_and_tabled() -> None:
    placement = fit_canvas(Size(48, 64))
    cost = measure_masks(draw_instances(3, placement), placement, rounds=1, repeats=1)
    assert (cost.image, cost.instances) == (Size(48, 64), 3)
    assert cost.straightforward > 0
    assert cost.ours > 0
    assert cost.same == 3
    assert to_table([cost]).row_count == 1
