"""The terms of BlitzMask's loss as pure functions (BlitzMask, sec. 3.2, eq. 2 to 10)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from training.batch import Batch

TINY = 1e-6


@dataclass(frozen=True, slots=True)
class LossWeights:
    """The paper's best values; CenterNet's are eps2 0, l1 0.1, iou 0, cross_entropy 1, dice 0."""

    eps1: float = 0.0
    eps2: float = -0.05
    l1: float = 0.05
    iou: float = 1.5
    cross_entropy: float = 0.5
    dice: float = 2.5


def focal_loss(
    score: Tensor, target: Tensor, counted: Tensor, *, eps1: float = 0.0, eps2: float = 0.0
) -> Tensor:
    """Penalty-reduced focal loss with perturbed first PolyLoss coefficients (eq. 2), summed per image.

    score, target: float [B, h, w, C], in [0, 1]; centres are where the target is 1.
    counted: bool [B, h, w, C]; elsewhere only centres count.
    Returns float [B]. With eps1 = eps2 = 0 this is CenterNet's.
    """
    score = score.clamp(TINY, 1 - TINY)
    centre = -((1 - score) ** 2) * (score.log() - eps1 * (1 - score))
    other = -((1 - target) ** 4) * score**2 * ((1 - score).log() - eps2 * score) * counted
    return torch.where(target == 1, centre, other).sum(dim=(1, 2, 3))


def size_l1(size: Tensor, target: Tensor) -> Tensor:
    """Sum of the four absolute differences (eq. 3): float [M] from float [M, 4]."""
    return (size - target).abs().sum(dim=1)


def size_iou(size: Tensor, target: Tensor) -> Tensor:
    """-log IoU of two boxes given as distances from one point (UnitBox, eq. 3): float [M] from float [M, 4].

    A distance may be negative, the point outside the box.
    """
    overlap = torch.minimum(size, target)
    overlap = (overlap[:, :2] + overlap[:, 2:]).clamp(min=0).prod(dim=1)
    area = (size[:, :2] + size[:, 2:]).clamp(min=0).prod(dim=1)
    union = area + (target[:, :2] + target[:, 2:]).prod(dim=1) - overlap
    return -torch.log((overlap + TINY) / (union + TINY))


def mask_logits(coefficients: Tensor, spanning_set: Tensor, image: Tensor) -> Tensor:
    """M_n = sum_k X[n, k] B[image_n, :, :, k] (eq. 5): float [M, h, w].

    coefficients: float [M, K]; spanning_set: float [B, h, w, K]; image: int64 [M], ascending.
    """
    counts = torch.bincount(image, minlength=len(spanning_set)).tolist()
    parts = [
        torch.einsum("mk,hwk->mhw", weights, basis)
        for weights, basis in zip(torch.split(coefficients, counts), spanning_set, strict=True)
    ]
    return torch.cat(parts)


def box_window(boxes_xyxy: Tensor, height: int, width: int) -> Tensor:
    """Which cell centres lie in each box: bool [M, height, width]; boxes in cells, float [M, 4].

    A box too thin to hold a centre takes the cell its own centre is in, so no window is empty.
    """
    left, top, right, bottom = boxes_xyxy[:, :, None].unbind(dim=1)  # [M, 1]
    columns = _inside(torch.arange(width, device=boxes_xyxy.device), left, right, width)
    rows = _inside(torch.arange(height, device=boxes_xyxy.device), top, bottom, height)
    return rows[:, :, None] & columns[:, None, :]


def _inside(cells: Tensor, low: Tensor, high: Tensor, count: int) -> Tensor:
    middle = ((low + high) / 2).floor().clamp(0, count - 1)
    return ((cells + 0.5 >= low) & (cells + 0.5 < high)) | (cells == middle)


def mask_cross_entropy(logits: Tensor, target: Tensor, window: Tensor) -> Tensor:
    """Mean binary cross-entropy over each window (eq. 6, 7): float [M] from [M, h, w]."""
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (losses * window).sum(dim=(1, 2)) / window.sum(dim=(1, 2))


def mask_dice(logits: Tensor, target: Tensor, window: Tensor) -> Tensor:
    """1 - (2 sum(m g) + 1) / (sum m + sum g + 1) over each window (eq. 8): float [M] from [M, h, w]."""
    mask, truth = logits.sigmoid() * window, target * window
    overlap = (mask * truth).sum(dim=(1, 2))
    return 1 - (2 * overlap + 1) / (mask.sum(dim=(1, 2)) + truth.sum(dim=(1, 2)) + 1)


def mean_per_image(values: Tensor, image: Tensor, images: int) -> Tensor:
    """Mean over each image's values, then over the images, those without any included as 0: a scalar."""
    counts = torch.bincount(image, minlength=images).clamp(min=1)
    return (values / counts[image]).sum() / images


def blitzmask_loss(
    heads: Mapping[str, Tensor], batch: Batch, weights: LossWeights, *, upsampling: int = 1
) -> dict[str, Tensor]:
    """The weighted terms of eq. 10 by name; their sum is the loss.

    heads: float [B, h, w, channels] each. upsampling: of mask logits before they are compared (3 in the last
    stage), which the batch's masks must match.
    """
    images = len(batch.pixels)
    i, j = batch.cell.unbind(dim=1)
    objects = torch.bincount(batch.image, minlength=images).clamp(min=1)
    focal = focal_loss(heads["heatmap"], batch.heatmap, batch.counted, eps1=weights.eps1, eps2=weights.eps2)
    size = heads["size"][batch.image, i, j]
    terms = {
        "focal": (focal / objects).mean(),
        "l1": weights.l1 * mean_per_image(size_l1(size, batch.size), batch.image, images),
        "iou": weights.iou * mean_per_image(size_iou(size, batch.size), batch.image, images),
    }
    return terms | (_mask_terms(heads, batch, weights, upsampling) if "spanning_set" in heads else {})


def _mask_terms(
    heads: Mapping[str, Tensor], batch: Batch, weights: LossWeights, upsampling: int
) -> dict[str, Tensor]:
    image, (i, j) = batch.image[batch.masked], batch.cell[batch.masked].unbind(dim=1)
    logits = mask_logits(heads["coefficients"][image, i, j], heads["spanning_set"], image)
    if upsampling > 1:
        logits = F.interpolate(
            logits[:, None], scale_factor=float(upsampling), mode="bilinear", align_corners=False
        )[:, 0]
    height, width = logits.shape[1:]
    cell = batch.pixels.shape[1] / height  # canvas pixels
    point = torch.stack([j, i, j, i], dim=1) * (batch.pixels.shape[1] / heads["heatmap"].shape[1])
    sides = batch.size[batch.masked] * batch.size.new_tensor([-1, -1, 1, 1])
    window = box_window((point + sides) / cell, height, width)
    target = batch.mask[batch.masked].to(logits.dtype)
    images = len(batch.pixels)
    cross_entropy = mask_cross_entropy(logits, target, window)
    dice = mask_dice(logits, target, window)
    return {
        "cross_entropy": weights.cross_entropy * mean_per_image(cross_entropy, image, images),
        "dice": weights.dice * mean_per_image(dice, image, images),
    }
