"""The loss of CSR + D2S: one-to-one matching as in K-Net, then the paper's three terms.

The paper gives the terms and their weights. The matching and its costs are those of K-Net (Zhang et al.,
2021), on which it builds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from training.data.batch import Batch

ALPHA, GAMMA = 0.25, 2.0  # of the focal losses (Lin et al., 2017)
TINY = 1e-6


@dataclass(frozen=True, slots=True)
class CsrWeights:
    """The weights of the terms, and those of the costs by which kernels are matched with objects."""

    classes: float = 1.0
    dice: float = 2.0
    focal: float = 3.0
    class_cost: float = 2.0
    dice_cost: float = 4.0
    mask_cost: float = 1.0


def csr_loss(
    heads: Mapping[str, Tensor], batch: Batch, weights: CsrWeights = CsrWeights()
) -> dict[str, Tensor]:
    """The weighted terms by name, each divided by the batch's objects with masks; their sum is the loss.

    Objects without a mask are not matched. Their class, and a class that does not count in most of a picture,
    gives no negatives in that picture.
    """
    size = tuple(batch.mask.shape[1:])
    logits = F.interpolate(heads["masks"], size, mode="bilinear", align_corners=False)
    truth, image, label = batch.mask.float(), batch.image[batch.masked], batch.label[batch.masked]
    target = torch.zeros_like(heads["scores"])
    counted = find_counted(batch)[:, None].repeat(1, target.shape[1], 1)
    dice, focal = [logits.sum() * 0], [logits.sum() * 0]
    for number in range(len(batch.pixels)):
        own = image == number
        kernels, objects = match_kernels(
            heads["scores"][number], logits[number], label[own], masks=truth[own], weights=weights
        )
        target[number, kernels, label[own][objects]] = 1
        counted[number, kernels] = True
        matched = logits[number, kernels], truth[own][objects]
        dice.append(dice_loss(*matched).sum())
        focal.append(focal_loss(*matched).mean(dim=(1, 2)).sum())
    losses = F.binary_cross_entropy_with_logits(heads["scores"], target, reduction="none") * counted
    count = max(1, len(label))
    return {
        "classes": weights.classes * losses.sum() / count,
        "dice": weights.dice * torch.stack(dice).sum() / count,
        "focal": weights.focal * torch.stack(focal).sum() / count,
    }


def find_counted(batch: Batch) -> Tensor:
    """True for the classes that give negatives in each picture: bool [B, C]."""
    counted = batch.counted.float().mean(dim=(1, 2)) > 0.5
    counted[batch.image[~batch.masked], batch.label[~batch.masked]] = False
    return counted


@torch.no_grad()
def match_kernels(
    scores: Tensor, logits: Tensor, label: Tensor, *, masks: Tensor, weights: CsrWeights
) -> tuple[Tensor, Tensor]:
    """The pairs of a kernel and an object with the least cost in all: int64 [P] each, P = min(Q, M).

    scores: float [Q, C], logits. logits: float [Q, h, w]. label: int64 [M]. masks: float [M, h, w].
    """
    cost = (
        weights.class_cost * class_cost(scores)[:, label]
        + weights.dice_cost * pairwise_dice(logits, masks)
        - weights.mask_cost * pairwise_agreement(logits, masks)
    )
    kernels, objects = linear_sum_assignment(cost.float().cpu().numpy())
    return torch.from_numpy(kernels).to(label.device), torch.from_numpy(objects).to(label.device)


def class_cost(scores: Tensor) -> Tensor:
    """The focal loss of each class as an object, minus that as background: float [Q, C] of logits [Q, C]."""
    return focal_loss(scores, torch.ones_like(scores)) - focal_loss(scores, torch.zeros_like(scores))


def pairwise_dice(logits: Tensor, masks: Tensor) -> Tensor:
    """`dice_loss` of each pair: float [Q, M] of [Q, h, w] and [M, h, w]."""
    found, truth = logits.sigmoid().flatten(1), masks.flatten(1)
    squares = found.square().sum(dim=1)[:, None] + truth.square().sum(dim=1)
    return 1 - 2 * (found @ truth.T) / (squares + TINY)


def pairwise_agreement(logits: Tensor, masks: Tensor) -> Tensor:
    """The mean probability of each cell's true value, of each pair: float [Q, M]."""
    found, truth = logits.sigmoid().flatten(1), masks.flatten(1)
    return (found @ truth.T + (1 - found) @ (1 - truth).T) / found.shape[1]


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 - 2 sum(m g) / (sum m^2 + sum g^2) (V-Net: Milletari et al., 2016): float [P] of [P, h, w]."""
    found, truth = logits.sigmoid().flatten(1), target.flatten(1)
    squares = found.square().sum(dim=1) + truth.square().sum(dim=1)
    return 1 - 2 * (found * truth).sum(dim=1) / (squares + TINY)


def focal_loss(logits: Tensor, target: Tensor) -> Tensor:
    """The focal loss of each value, with targets 0 and 1 (Lin et al., 2017, eq. 5): of the logits' shape."""
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    probability = logits.sigmoid()
    missing = torch.where(target > 0.5, 1 - probability, probability)
    share = torch.where(target > 0.5, ALPHA, 1 - ALPHA)
    return share * missing**GAMMA * losses
