"""Every term of the loss of CSR + D2S against values worked out by hand, and its matching."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from tests.training.test_losses import make_batch
from training.csr_loss import (
    CsrWeights,
    class_cost,
    csr_loss,
    dice_loss,
    find_counted,
    focal_loss,
    match_kernels,
    pairwise_agreement,
    pairwise_dice,
)

LN2 = math.log(2)


def test_dice_of_masks() -> None:
    target = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]], [[1.0, 0.0]]])
    logits = torch.tensor([[[50.0, -50.0]], [[-50.0, 50.0]], [[0.0, 0.0]]])
    expected = [0, 1, 1 - 2 * 0.5 / (0.25 + 0.25 + 1)]
    assert dice_loss(logits, target).tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("target", "share"), [(1.0, 0.25), (0.0, 0.75)])
def test_focal_loss_of_an_undecided_value(target: float, share: float) -> None:
    loss = focal_loss(torch.zeros(1), torch.tensor([target]))
    assert loss.item() == pytest.approx(share * 0.25 * LN2)


def test_focal_loss_of_a_value_that_is_wrong() -> None:
    logit = math.log(3)  # a probability of 3 / 4
    loss = focal_loss(torch.tensor([logit]), torch.zeros(1))
    assert loss.item() == pytest.approx(0.75 * (3 / 4) ** 2 * math.log(4))


def test_costs_of_pairs_are_those_of_single_ones() -> None:
    torch.manual_seed(0)
    logits, masks = torch.randn(4, 3, 5), (torch.rand(2, 3, 5) > 0.5).float()
    dice, agreement = pairwise_dice(logits, masks), pairwise_agreement(logits, masks)
    for kernel, item in itertools.product(range(4), range(2)):
        found = logits[kernel].sigmoid()
        right = torch.where(masks[item] > 0, found, 1 - found).mean()
        assert dice[kernel, item].item() == pytest.approx(
            dice_loss(logits[kernel : kernel + 1], masks[item : item + 1]).item(), abs=1e-6
        )
        assert agreement[kernel, item].item() == pytest.approx(right.item(), abs=1e-6)


def test_a_likely_class_costs_less() -> None:
    cost = class_cost(torch.tensor([[-2.0, 0.0, 2.0]]))[0]
    assert cost[1].item() == pytest.approx(-0.5 * 0.25 * LN2)
    assert cost[2] < cost[1] < cost[0]


def test_the_matching_has_the_least_cost_of_all() -> None:
    torch.manual_seed(1)
    weights, label = CsrWeights(), torch.tensor([0, 2, 1])
    scores, logits, masks = torch.randn(4, 3), torch.randn(4, 2, 3), (torch.rand(3, 2, 3) > 0.5).float()
    cost = 2 * class_cost(scores)[:, label] + 4 * pairwise_dice(logits, masks)
    cost = cost - pairwise_agreement(logits, masks)
    least = min(
        sum(cost[kernel, item].item() for item, kernel in enumerate(chosen))
        for chosen in itertools.permutations(range(4), 3)
    )
    kernels, objects = match_kernels(scores, logits, label, masks=masks, weights=weights)
    assert sorted(objects.tolist()) == [0, 1, 2]
    assert cost[kernels, objects].sum().item() == pytest.approx(least, abs=1e-5)


def test_more_objects_than_kernels_leave_some_without() -> None:
    found = match_kernels(
        torch.zeros(1, 2),
        torch.zeros(1, 2, 2),
        torch.tensor([0, 1]),
        masks=torch.ones(2, 2, 2),
        weights=CsrWeights(),
    )
    assert [len(each) for each in found] == [1, 1]


def test_the_terms_are_weighted_and_divided_by_the_objects_with_masks() -> None:
    """Two images of two kernels. The second image has an object with a mask and one without."""
    heads = {"scores": torch.zeros(2, 2, 1), "masks": torch.zeros(2, 2, 1, 1)}
    terms = csr_loss(heads, make_batch())
    expected = {
        "classes": (2 + 1) * LN2,  # in the second image only the matched kernel counts
        "dice": 2 * (1 - 2 * 1.0 / (4 * 0.25 + 2)),
        "focal": 3 * (0.25 + 0.75) / 2 * 0.25 * LN2,
    }
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, abs=1e-5)


def test_a_perfect_answer_has_no_loss() -> None:
    batch = replace(make_batch(), masked=torch.tensor([True, True]), mask=make_batch().mask.repeat(2, 1, 1))
    batch.mask[0] = 1 - batch.mask[0]
    masks = torch.full((2, 2, 2, 2), -50.0)
    masks[1, 0] = (batch.mask[1].float() - 0.5) * 100
    masks[1, 1] = (batch.mask[0].float() - 0.5) * 100
    scores = torch.tensor([[[-50.0], [-50.0]], [[50.0], [50.0]]])
    terms = csr_loss({"scores": scores, "masks": masks}, batch)
    assert sum(term.item() for term in terms.values()) == pytest.approx(0, abs=1e-5)


def test_a_class_that_does_not_count_in_most_of_a_picture_gives_no_negatives() -> None:
    batch = replace(make_batch(), masked=torch.tensor([True, True]), mask=make_batch().mask.repeat(2, 1, 1))
    counted = batch.counted.clone()
    counted[0, :, 0], counted[0, 0, 1] = False, False
    assert find_counted(replace(batch, counted=counted)).tolist() == [[False], [True]]
    assert find_counted(make_batch()).tolist() == [[True], [False]]


def test_a_batch_without_masks_has_gradients_of_the_classes_only() -> None:
    batch = make_batch()
    empty = replace(batch, masked=torch.tensor([False, False]), mask=batch.mask[:0])
    heads = {"scores": torch.zeros(2, 2, 1), "masks": torch.zeros(2, 2, 1, 1)}
    for head in heads.values():
        head.requires_grad_()
    terms = csr_loss(heads, empty)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {"classes": 2 * LN2, "dice": 0, "focal": 0}
    )
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    assert heads["masks"].grad is not None
    assert not heads["masks"].grad.any()
