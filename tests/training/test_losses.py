"""Every term of the loss against values worked out by hand."""

import math
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from training.data.batch import Batch
from training.losses import (
    Counts,
    LossWeights,
    blitzmask_loss,
    box_window,
    count_objects,
    focal_loss,
    mask_cross_entropy,
    mask_dice,
    mask_logits,
    mask_projection,
    share_equally,
    size_iou,
    size_l1,
)

LN2 = math.log(2)


def cell(value: float) -> Tensor:
    return torch.full((1, 1, 1, 1), value, dtype=torch.float64)


COUNTED = torch.ones(1, 1, 1, 1, dtype=torch.bool)


@pytest.mark.parametrize(("eps1", "expected"), [(0.0, 0.25 * LN2), (0.2, 0.25 * LN2 + 0.2 * 0.5**3)])
def test_focal_loss_of_a_centre(eps1: float, expected: float) -> None:
    assert focal_loss(cell(0.5), cell(1.0), COUNTED, eps1=eps1).item() == pytest.approx(expected)


@pytest.mark.parametrize("eps2", [0.0, -0.05])
def test_focal_loss_of_a_cell_near_a_centre(eps2: float) -> None:
    expected = (1 - 0.5) ** 4 * 0.2**2 * (-math.log(0.8) + eps2 * 0.2)
    assert focal_loss(cell(0.2), cell(0.5), COUNTED, eps2=eps2).item() == pytest.approx(expected)


def test_focal_loss_skips_what_does_not_count_except_centres() -> None:
    scores = torch.tensor([0.5, 0.9], dtype=torch.float64).reshape(1, 1, 2, 1)
    target = torch.tensor([1.0, 0.0], dtype=torch.float64).reshape(1, 1, 2, 1)
    loss = focal_loss(scores, target, torch.zeros(1, 1, 2, 1, dtype=torch.bool))
    assert loss.tolist() == pytest.approx([0.25 * LN2])


def test_focal_loss_is_summed_per_image() -> None:
    scores = torch.full((3, 2, 2, 2), 0.5, dtype=torch.float64)
    loss = focal_loss(scores, torch.zeros_like(scores), torch.ones(3, 2, 2, 2, dtype=torch.bool))
    assert loss.tolist() == pytest.approx([8 * 0.25 * LN2] * 3)


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_focal_loss_of_a_saturated_score_is_finite(score: float) -> None:
    for target in (0.0, 1.0):
        assert focal_loss(cell(score), cell(target), COUNTED).isfinite()


def test_l1_sums_the_four_sides() -> None:
    sizes = torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([[2.0, 2, 1, 8]])
    assert size_l1(*sizes).tolist() == [7.0]


@pytest.mark.parametrize(
    ("size", "target", "iou"),
    [
        ([2, 2, 2, 2], [2, 2, 2, 2], 1),
        ([1, 1, 1, 1], [2, 2, 2, 2], 1 / 4),
        ([2, 2, 0, 2], [2, 2, 2, 2], 1 / 2),
        ([3, 2, 1, 2], [1, 2, 3, 2], 8 / 24),
        ([-2, 2, 6, 2], [-2, 2, 6, 2], 1),  # the point lies outside its box
        ([-2, 2, 6, 2], [-4, 2, 6, 2], 1 / 2),
    ],
)
def test_iou_loss_is_minus_log_iou(size: list[int], target: list[int], iou: float) -> None:
    loss = size_iou(torch.tensor([size]).double(), torch.tensor([target]).double())
    assert loss.item() == pytest.approx(-math.log(iou), abs=1e-5)


def test_iou_loss_of_boxes_that_do_not_meet_is_finite() -> None:
    size = torch.tensor([[-5.0, 2, 3, 2]], requires_grad=True)
    loss = size_iou(size, torch.tensor([[2.0, 2, 2, 2]]))
    torch.autograd.backward(loss.sum())
    assert loss.isfinite().all()
    assert size.grad is not None
    assert size.grad.isfinite().all()


def test_a_box_turned_inside_out_overlaps_nothing() -> None:
    """Both of its sides are negative, so that their product is no area."""
    loss = size_iou(torch.tensor([[-6.0, -6, 2, 2]]).double(), torch.full((1, 4), 2.0).double())
    assert loss.item() == pytest.approx(-math.log(1e-6 / (16 + 1e-6)))


def test_mask_logits_combine_the_basis_of_the_objects_own_image() -> None:
    spanning_set = torch.arange(8.0).reshape(2, 1, 2, 2)  # two images of 1 x 2 cells, K = 2
    coefficients = torch.tensor([[1.0, 0], [0, 2], [1, 1]])
    logits = mask_logits(coefficients, spanning_set, torch.tensor([0, 1, 1]))
    assert logits.tolist() == [[[0, 2]], [[10, 14]], [[9, 13]]]


def test_mask_logits_of_no_objects_are_empty() -> None:
    empty = mask_logits(torch.zeros(0, 2), torch.zeros(2, 3, 4, 2), torch.zeros(0, dtype=torch.int64))
    assert empty.shape == (0, 3, 4)


def test_a_window_holds_the_cells_whose_centres_lie_in_the_box() -> None:
    window = box_window(torch.tensor([[0.6, 0.0, 2.5, 1.4]]), 2, 4)[0]
    assert window.int().tolist() == [[0, 1, 0, 0], [0, 0, 0, 0]]
    assert box_window(torch.tensor([[0.5, 0.5, 2.51, 1.6]]), 2, 4)[0].int().tolist() == [[1, 1, 1, 0]] * 2


@pytest.mark.parametrize("box", [[1.6, 0.6, 1.9, 0.9], [3.9, 1.9, 4.0, 2.0], [4.0, 2.0, 4.0, 2.0]])
def test_no_window_is_empty(box: list[float]) -> None:
    assert box_window(torch.tensor([box]), 2, 4).sum() == 1


def test_cross_entropy_is_the_mean_over_the_window() -> None:
    logits = torch.tensor([[[0.0, 2.0], [9.0, -9.0]]])
    window = torch.tensor([[[True, True], [False, False]]])
    expected = (LN2 + math.log(1 + math.exp(-2))) / 2
    assert mask_cross_entropy(logits, torch.ones(1, 2, 2), window).item() == pytest.approx(expected)


def test_dice_of_an_undecided_and_of_a_perfect_mask() -> None:
    window = torch.ones(1, 2, 2, dtype=torch.bool)
    truth = torch.tensor([[[1.0, 1], [0, 0]]])
    assert mask_dice(torch.zeros(1, 2, 2), torch.ones(1, 2, 2), window).item() == pytest.approx(2 / 7)
    assert mask_dice(200 * truth - 100, truth, window).item() == pytest.approx(0)


def test_nothing_outside_the_window_changes_the_mask_losses() -> None:
    window = torch.tensor([[[True, False]]])
    logits, truth = torch.tensor([[[1.0, 5.0]]]), torch.tensor([[[1.0, 0.0]]])
    other = torch.tensor([[[1.0, -7.0]]])
    for loss in (mask_cross_entropy, mask_dice):
        assert loss(logits, truth, window).equal(loss(other, 1 - truth + window * (2 * truth - 1), window))


def test_every_image_weighs_the_same_however_many_objects_it_has() -> None:
    shares = share_equally(torch.tensor([0, 0, 2]), 3, None)
    assert shares.tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 3])


def test_every_object_weighs_the_same_where_they_are_counted() -> None:
    assert share_equally(torch.tensor([0, 0, 2]), 3, 4.0).tolist() == [0.25] * 3
    assert share_equally(torch.tensor([0]), 1, 0.5).tolist() == [1]  # never more than all of it


def test_a_mask_that_fills_its_box_or_touches_its_sides_has_no_projection_loss() -> None:
    window = torch.zeros(1, 4, 5, dtype=torch.bool)
    window[:, 1:3, 1:4] = True
    diagonal = torch.full((1, 4, 5), -50.0)
    diagonal[0, 1, 1], diagonal[0, 2, 2], diagonal[0, 2, 3] = 50, 50, 50
    for logits in (window * 100.0 - 50, diagonal):
        assert mask_projection(logits, window).item() == pytest.approx(0, abs=1e-5)


def test_a_mask_that_spills_over_has_the_dice_of_its_projections() -> None:
    window = torch.zeros(1, 4, 5, dtype=torch.bool)
    window[:, 1:3, 1:4] = True
    loss = mask_projection(torch.full((1, 4, 5), 50.0), window).item()
    assert loss == pytest.approx((1 - 2 * 3 / (5 + 3)) + (1 - 2 * 2 / (4 + 2)), abs=1e-5)


def make_batch(resolution: int = 1) -> Batch:
    """Two images of 2 x 2 cells; the second shows one object without a mask and one with, the first none."""
    mask = torch.zeros(1, 2 * resolution, 2 * resolution, dtype=torch.uint8)
    mask[0, :, resolution:] = 1
    cell, size = torch.tensor([[0, 0], [1, 1]]), torch.tensor([[0.0, 0, 8, 8], [4, 4, 4, 4]])
    masked = torch.tensor([False, True])
    heatmap = torch.zeros(2, 2, 2, 1)
    heatmap[1, 0, 0], heatmap[1, 1, 1] = 1, 1
    return Batch(
        pixels=torch.zeros(2, 8, 8, 3, dtype=torch.uint8),
        heatmap=heatmap,
        counted=torch.ones(2, 2, 2, 1, dtype=torch.bool),
        image=torch.tensor([1, 1]),
        label=torch.tensor([0, 0]),
        cell=cell,
        size=size,
        masked=masked,
        mask=mask,
        sample_object=torch.tensor([0, 1]),
        sample_cell=cell,
        sample_size=size,
        sample_weight=torch.ones(2),
        sample_masked=masked,
    )


def make_heads(*, requires_grad: bool = False) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    channels = {"heatmap": 1, "size": 4, "coefficients": 3, "spanning_set": 3}
    heads = {
        name: torch.rand(2, 2, 2, count, generator=generator, dtype=torch.float64) * 0.8 + 0.1
        for name, count in channels.items()
    }
    return {name: head.requires_grad_(requires_grad) for name, head in heads.items()}


def test_the_terms_are_weighted_and_averaged_as_the_paper_says() -> None:
    heads, batch, weights = make_heads(), make_batch(), LossWeights()
    terms = blitzmask_loss(heads, batch, weights)
    focal = focal_loss(heads["heatmap"], batch.heatmap, batch.counted, eps2=-0.05)
    size = heads["size"][1, [0, 1], [0, 1]]
    logits = heads["spanning_set"][1] @ heads["coefficients"][1, 1, 1]
    window, truth = torch.ones(1, 2, 2, dtype=torch.bool), batch.mask.double()
    expected = {
        "focal": (focal[0] / 1 + focal[1] / 2) / 2,
        "l1": 0.05 * size_l1(size, batch.size).sum() / 2 / 2,
        "iou": 1.5 * size_iou(size, batch.size).sum() / 2 / 2,
        "cross_entropy": 0.5 * mask_cross_entropy(logits[None], truth, window)[0] / 2,
        "dice": 2.5 * mask_dice(logits[None], truth, window)[0] / 2,
    }
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {name: float(value) for name, value in expected.items()}
    )


def test_the_terms_of_a_batch_are_divided_by_its_objects_and_its_masks() -> None:
    heads, batch = make_heads(), make_batch()
    weights = LossWeights(projection=1.0)
    plain = blitzmask_loss(heads, batch, weights)
    counts = Counts(*count_objects(batch).tolist())
    assert (counts.objects, counts.masked, counts.boxed) == (2, 1, 1)
    terms = blitzmask_loss(heads, batch, weights, counts=counts)
    focal = focal_loss(heads["heatmap"], batch.heatmap, batch.counted, eps2=-0.05)
    assert terms["focal"].item() == pytest.approx(focal.sum().item() / 2)
    for name in ("l1", "iou"):  # one of two images has both objects, the other none
        assert terms[name].item() == pytest.approx(2 * plain[name].item())
    for name in ("cross_entropy", "dice", "projection"):
        assert terms[name].item() == pytest.approx(2 * plain[name].item())


def test_an_objects_samples_share_its_weight() -> None:
    heads, single = make_heads(), make_batch()
    cells = torch.tensor([[0, 0], [1, 1], [0, 1]])
    sizes = torch.tensor([[0.0, 0, 8, 8], [4, 4, 4, 4], [4, 1, 4, 7]])
    batch = replace(
        single,
        sample_object=torch.tensor([0, 1, 1]),
        sample_cell=cells,
        sample_size=sizes,
        sample_weight=torch.tensor([1, 0.75, 0.25]),
        sample_masked=torch.tensor([False, True, True]),
    )
    terms = blitzmask_loss(heads, batch, LossWeights(l1=1.0, dice=1.0))
    found = size_l1(heads["size"][1, cells[:, 0], cells[:, 1]], sizes)
    assert terms["l1"].item() == pytest.approx(
        ((found[0] + 0.75 * found[1] + 0.25 * found[2]) / 2 / 2).item()
    )
    window, truth = torch.ones(1, 2, 2, dtype=torch.bool), single.mask.double()
    dices = [
        mask_dice((heads["spanning_set"][1] @ heads["coefficients"][1, i, j])[None], truth, window)
        for i, j in ((1, 1), (0, 1))
    ]
    assert terms["dice"].item() == pytest.approx(((dices[0] + dices[1]) / 2 / 2).item())


def test_masks_are_compared_after_upsampling() -> None:
    heads, batch = make_heads(), make_batch(resolution=3)
    heads["coefficients"] = torch.zeros(2, 2, 2, 3).double()
    heads["coefficients"][1, 1, 1, 0] = 1
    heads["spanning_set"][1, :, :, 0] = torch.tensor([[-3.0, 3.0], [-3.0, 3.0]])
    weights = LossWeights(cross_entropy=1.0, dice=0.0)
    term = blitzmask_loss(heads, batch, weights, upsampling=3)["cross_entropy"]
    row = [-3, -3, -1, 1, 3, 3]  # bilinear: cell centres at -1/3, 0, 1/3, 2/3, 1, 4/3 of the two
    expected = sum(math.log(1 + math.exp(-abs(value))) for value in row) / 6
    assert term.item() == pytest.approx(expected / 2)  # the mean over two images


def test_a_network_without_masks_has_no_mask_terms() -> None:
    heads = make_heads()
    boxes = {name: heads[name] for name in ("heatmap", "size")}
    assert set(blitzmask_loss(boxes, make_batch(), LossWeights())) == {"focal", "l1", "iou"}


def test_a_batch_without_objects_has_a_finite_loss() -> None:
    batch = make_batch()
    empty = {
        field.name: getattr(batch, field.name)[:0]
        if field.name not in ("pixels", "counted")
        else getattr(batch, field.name)
        for field in fields(Batch)
    }
    bare = Batch(**empty | {"heatmap": torch.zeros(2, 2, 2, 1)})
    terms = blitzmask_loss(make_heads(), bare, LossWeights())
    assert all(term.isfinite() for term in terms.values())
    assert terms["dice"].item() == 0


@pytest.mark.parametrize("upsampling", [1, 3])
def test_gradients_agree_with_finite_differences(upsampling: int) -> None:
    heads, batch = make_heads(requires_grad=True), make_batch(upsampling)
    names = list(heads)

    def loss(*values: Tensor) -> Tensor:
        terms = blitzmask_loss(
            dict(zip(names, values, strict=True)), batch, LossWeights(), upsampling=upsampling
        )
        return torch.stack(list(terms.values())).sum()

    assert gradcheck(loss, tuple(heads.values()))
