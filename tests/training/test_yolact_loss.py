"""Every term of YOLACT's loss against values worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from service.inference.decoding.prototypes import _decode_boxes
from tests.training.test_losses import make_batch
from training.yolact_loss import (
    BACKGROUND,
    IGNORED,
    YolactWeights,
    box_iou,
    cropped_cross_entropy,
    draw_semantic,
    encode_boxes,
    find_allowed,
    label_anchors,
    match_anchors,
    object_boxes,
    ohem_cross_entropy,
    resize_masks,
    semantic_cross_entropy,
    to_corners,
    yolact_loss,
)

LN2 = math.log(2)


def test_iou_of_boxes() -> None:
    first = torch.tensor([[0.0, 0, 2, 2], [0, 0, 4, 4]])
    second = torch.tensor([[0.0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6]])
    torch.testing.assert_close(box_iou(first, second), torch.tensor([[1, 1 / 7, 0], [1 / 4, 1 / 4, 0]]))


def test_an_anchor_learns_its_object_nothing_or_background_by_its_overlap() -> None:
    box = torch.tensor([[0.0, 0, 1, 1]])
    shares = torch.tensor([1.0, 0.5, 0.49, 0.4, 0.39])
    anchors = torch.stack([torch.zeros(5), torch.zeros(5), torch.ones(5), shares], dim=1)
    assert match_anchors(anchors, box).tolist() == [0, 0, IGNORED, IGNORED, BACKGROUND]


def test_every_object_gets_an_anchor_of_its_own() -> None:
    anchors = torch.tensor([[0.0, 0, 1, 1], [0, 0, 0.1, 0.1], [2, 2, 3, 3]])
    boxes = torch.tensor([[0.0, 0, 1, 0.9], [0, 0, 1, 0.3]])  # both overlap the first anchor most
    assert match_anchors(anchors, boxes).tolist() == [0, 1, BACKGROUND]


def test_without_objects_all_anchors_are_background() -> None:
    assert match_anchors(torch.rand(3, 4), torch.zeros(0, 4)).tolist() == [BACKGROUND] * 3


def test_the_service_decodes_encoded_boxes() -> None:
    priors = torch.tensor([[0.5, 0.5, 0.2, 0.4], [0.25, 0.75, 0.1, 0.1]])
    boxes = torch.tensor([[0.4, 0.35, 0.7, 0.6], [0.2, 0.7, 0.3, 0.8]])
    offsets = encode_boxes(boxes, priors)
    assert offsets[0].tolist() == pytest.approx(
        [0.05 / 0.02, -0.025 / 0.04, math.log(1.5) / 0.2, math.log(0.625) / 0.2], rel=1e-5
    )
    decoded = _decode_boxes(offsets.numpy(), priors.numpy())
    np.testing.assert_allclose(decoded, boxes.numpy(), atol=1e-6)
    torch.testing.assert_close(to_corners(priors)[1], boxes[1])


def test_ohem_takes_three_times_as_much_background_the_hardest_first() -> None:
    logits = torch.zeros(7, 2)
    logits[1:6, 1] = torch.tensor([1.0, 2, 3, 4, 5])
    target = torch.tensor([1, 0, 0, 0, 0, 0, IGNORED])
    expected = [LN2, *(math.log(1 + math.exp(value)) for value in (5, 4, 3))]
    assert ohem_cross_entropy(logits, target).tolist() == pytest.approx(expected)


def test_ohem_of_an_image_without_objects_is_empty() -> None:
    assert ohem_cross_entropy(torch.rand(4, 3), torch.zeros(4, dtype=torch.int64)).tolist() == []


def test_anchors_have_the_channel_of_their_object() -> None:
    owner = torch.tensor([1, BACKGROUND, IGNORED, 0])
    assert label_anchors(owner, torch.tensor([4, 2])).tolist() == [3, 0, IGNORED, 5]
    assert label_anchors(owner[1:3], torch.zeros(0, dtype=torch.int64)).tolist() == [0, IGNORED]


def test_the_mask_loss_is_over_the_box_and_one_cell_around_and_divided_by_the_boxs_area() -> None:
    logits = torch.full((1, 8, 8), 50.0)
    logits[0, 3:6, 3:6] = 0
    box = torch.tensor([[4 / 8, 4 / 8, 5 / 8, 5 / 8]])  # one cell; with its rim it is nine
    loss = cropped_cross_entropy(logits, torch.zeros(1, 8, 8), box)
    assert loss.tolist() == pytest.approx([9 * LN2], rel=1e-5)
    wide = torch.tensor([[3 / 8, 4 / 8, 5 / 8, 5 / 8]])  # two cells; twelve with the rim, three of them wrong
    loss = cropped_cross_entropy(logits, torch.zeros(1, 8, 8), wide)
    assert loss.tolist() == pytest.approx([(9 * LN2 + 3 * 50) / 2], rel=1e-5)


def test_masks_are_interpolated_and_cut_at_one_half() -> None:
    mask = torch.tensor([[[1, 1, 1, 0], [1, 1, 0, 0]]], dtype=torch.uint8)
    assert resize_masks(mask, (1, 2)).tolist() == [[[1.0, 0.0]]]
    assert resize_masks(mask[:0], (1, 2)).shape == (0, 1, 2)


def test_the_semantic_loss_is_summed_over_the_classes_that_count() -> None:
    logits, target = torch.zeros(2, 1, 3, 4), torch.zeros(2, 1, 3, 4)
    counted = torch.ones(2, 1, 3, 4, dtype=torch.bool)
    assert semantic_cross_entropy(logits, target, counted).item() == pytest.approx(4 * LN2)
    counted[0] = False
    assert semantic_cross_entropy(logits, target, counted).item() == pytest.approx(2 * LN2)


PRIORS = torch.tensor([[0.5, 0.5, 1.0, 1.0], [0.75, 0.75, 0.5, 0.5], [0.25, 0.25, 0.5, 0.5]]).expand(2, 3, 4)


def make_heads() -> dict[str, Tensor]:
    """Heads of three anchors that predict the anchors' own boxes, no class and empty prototypes."""
    return {
        "priors": PRIORS,
        "loc": torch.zeros(2, 3, 4),
        "conf": torch.zeros(2, 3, 2),
        "mask": torch.zeros(2, 3, 5),
        "proto": torch.zeros(2, 2, 2, 5),
        "semantic": torch.zeros(2, 1, 1, 1),
    }


def test_objects_have_their_boxes_in_parts_of_the_canvas() -> None:
    assert object_boxes(make_batch()).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]


def test_the_terms_are_weighted_and_divided_by_the_anchors_with_objects() -> None:
    """The first object takes the first anchor, the second the next one, a quarter of its box."""
    terms = yolact_loss(make_heads(), make_batch())
    move, size = 0.25 / 0.05, math.log(2) / 0.2
    expected = {
        "classes": (2 + 1) * LN2 / 2,  # two objects, one background; the image without objects has no loss
        "boxes": 1.5 * (2 * (move - 0.5) + 2 * (size - 0.5)) / 2,
        "masks": 6.125 * (4 * LN2 / 4) / 2,  # only the second object has a mask
        "semantic": LN2 / 2,  # the second image's class does not count, as one of its objects has no mask
    }
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-5)


def test_a_limited_number_of_masks_stands_for_all() -> None:
    torch.manual_seed(0)
    batch = replace(make_batch(), masked=torch.tensor([True, True]), mask=make_batch().mask.repeat(2, 1, 1))
    terms = [yolact_loss(make_heads(), batch, YolactWeights(most_masks=most)) for most in (1, 100)]
    assert terms[0]["masks"].item() == pytest.approx(terms[1]["masks"].item())


def test_a_batch_without_objects_has_a_loss_of_the_semantic_term_only() -> None:
    batch = make_batch()
    empty = replace(
        batch,
        image=batch.image[:0],
        label=batch.label[:0],
        cell=batch.cell[:0],
        size=batch.size[:0],
        masked=batch.masked[:0],
        mask=batch.mask[:0],
    )
    terms = {name: term.item() for name, term in yolact_loss(make_heads(), empty).items()}
    assert terms == pytest.approx({"classes": 0, "boxes": 0, "masks": 0, "semantic": LN2})


def test_classes_that_do_not_count_at_an_anchor_are_left_out() -> None:
    batch = make_batch()
    counted = batch.counted.clone()
    counted[1] = False
    owner = torch.tensor([[-1, -1, -1], [0, -1, -1]])
    allowed = find_allowed(PRIORS, replace(batch, counted=counted), owner)
    assert allowed[0].all()
    assert allowed[1].tolist() == [[True, True], [True, False], [True, False]]
    found = yolact_loss(make_heads(), replace(batch, counted=counted))["classes"]
    assert found.item() == pytest.approx(2 * LN2 / 2)  # the background anchor has no class to be told from


def test_objects_of_one_class_share_a_semantic_map() -> None:
    masks = torch.zeros(2, 2, 2, dtype=torch.uint8)
    masks[0, :, 0], masks[1, :, 1] = 1, 1
    batch = replace(make_batch(), masked=torch.tensor([True, True]), mask=masks)
    target, counted = draw_semantic({"semantic": torch.zeros(2, 2, 2, 1)}, batch)
    assert target[:, :, :, 0].tolist() == [[[0, 0], [0, 0]], [[1, 1], [1, 1]]]
    assert counted.all()


def test_every_head_has_a_gradient() -> None:
    torch.manual_seed(0)
    heads = {name: torch.rand_like(head).requires_grad_() for name, head in make_heads().items()}
    heads["priors"] = PRIORS
    torch.autograd.backward(torch.stack(list(yolact_loss(heads, make_batch()).values())).sum())
    without = [name for name, head in heads.items() if head.grad is None or not head.grad.any()]
    assert without == ["priors"]
