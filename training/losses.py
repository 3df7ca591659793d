"""The terms of BlitzMask's loss (BlitzMask, sec. 3.2, eq. 2 to 10)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from training.data.batch import Batch

TINY = 1e-6


@dataclass(frozen=True, slots=True)
class LossWeights:
    """The weights of the terms. The defaults are the paper's best; CenterNet's are 0, 0, 0.1, 0, 1, 0.

    projection: of `mask_projection`, for objects without a mask; 0 for none.
    per_batch: each object of a batch has the same weight; otherwise each image has, as in the paper.
    """

    eps1: float = 0.0
    eps2: float = -0.05
    l1: float = 0.05
    iou: float = 1.5
    cross_entropy: float = 0.5
    dice: float = 2.5
    projection: float = 0.0
    per_batch: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of objects: all, with a mask, without a mask; means over the processes of a run."""

    objects: float
    masked: float
    boxed: float


def focal_loss(
    score: Tensor, target: Tensor, counted: Tensor, *, eps1: float = 0.0, eps2: float = 0.0
) -> Tensor:
    """Penalty-reduced focal loss with perturbed first PolyLoss coefficients (eq. 2), summed per image.

    score, target: float [B, h, w, C], in [0, 1]; centres have the target 1.
    counted: bool [B, h, w, C]; the other cells count only if they are centres.
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
    """-log IoU of two boxes, given as distances from one point (UnitBox, eq. 3): float [M] from float [M, 4].

    A distance is negative if the point is outside the box.
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
    """The cells whose centres are in each box: bool [M, height, width]; boxes in cells, float [M, 4].

    Along an axis where a box contains no cell centre it takes the cell of its middle, so that no window is
    empty.
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


def mask_projection(logits: Tensor, window: Tensor) -> Tensor:
    """Dice of the mask's projections on both axes against the box's (BoxInst: Tian et al., CVPR 2021, sec.
    3.1).

    logits: float [M, h, w], the whole map; window: bool [M, h, w], the box. Returns the sum of both: float
    [M]. A projection is the maximum over a row or column, so the mask has to touch each side of the box and
    to stay inside it; what fills the box is left open.
    """
    losses = []
    for axis in (1, 2):
        mask = logits.amax(dim=axis).sigmoid()
        truth = window.any(dim=axis).to(mask.dtype)
        overlap = (mask * truth).sum(dim=1)
        losses.append(1 - 2 * overlap / ((mask**2).sum(dim=1) + (truth**2).sum(dim=1) + TINY))
    return losses[0] + losses[1]


def count_objects(batch: Batch) -> Tensor:
    """The numbers of objects, of those with a mask and of those without: float32 [3]."""
    masked, objects = batch.masked.sum(), len(batch.image)
    return torch.stack([masked.new_tensor(objects), masked, objects - masked]).float()


def share_equally(image: Tensor, images: int, count: float | None) -> Tensor:
    """The weight of each object in a mean: float32 [M].

    count: the number of objects, for a mean over objects; None for the mean over each image's objects and
    then over all images.
    """
    if count is not None:
        return torch.full(image.shape, 1 / max(1.0, count), device=image.device)
    counts = torch.bincount(image, minlength=images).clamp(min=1)
    return 1 / (counts[image] * images)


def blitzmask_loss(
    heads: Mapping[str, Tensor],
    batch: Batch,
    weights: LossWeights,
    *,
    upsampling: int = 1,
    counts: Counts | None = None,
) -> dict[str, Tensor]:
    """The weighted terms of eq. 10 by name; their sum is the loss.

    heads: float [B, h, w, channels] each. upsampling: of mask logits before they are compared (3 in the last
    stage), which the batch's masks must match. counts: the objects that the terms are divided by; None for
    the paper's means over each image.
    """
    images = len(batch.pixels)
    i, j = batch.sample_cell.unbind(dim=1)
    focal = focal_loss(heads["heatmap"], batch.heatmap, batch.counted, eps1=weights.eps1, eps2=weights.eps2)
    size = heads["size"][batch.image[batch.sample_object], i, j]
    objects = torch.bincount(batch.image, minlength=images).clamp(min=1) * images
    shares = share_equally(batch.image, images, counts.objects if counts else None)
    share = batch.sample_weight * shares[batch.sample_object]
    terms = {
        "focal": focal.sum() / max(1.0, counts.objects) if counts else (focal / objects).sum(),
        "l1": weights.l1 * (size_l1(size, batch.sample_size) * share).sum(),
        "iou": weights.iou * (size_iou(size, batch.sample_size) * share).sum(),
    }
    if "spanning_set" not in heads:
        return terms
    terms |= _mask_terms(heads, batch, weights, upsampling=upsampling, counts=counts)
    if weights.projection:
        terms["projection"] = weights.projection * _projection_term(heads, batch, counts)
    return terms


def _mask_terms(
    heads: Mapping[str, Tensor],
    batch: Batch,
    weights: LossWeights,
    *,
    upsampling: int,
    counts: Counts | None,
) -> dict[str, Tensor]:
    """Cross-entropy and Dice: means over each object's mask samples, then over the objects with masks."""
    owner = batch.sample_object[batch.sample_masked]
    logits = _sample_logits(heads, batch.image[owner], batch.sample_cell[batch.sample_masked])
    if upsampling > 1:
        logits = F.interpolate(
            logits[:, None], scale_factor=float(upsampling), mode="bilinear", align_corners=False
        )[:, 0]
    number = (batch.masked.cumsum(dim=0) - 1)[owner]  # among the masked objects
    window, target = _own_windows(batch, logits)[owner], batch.mask[number].to(logits.dtype)
    share = torch.zeros(len(batch.image), device=logits.device)
    images = len(batch.pixels)
    share[batch.masked] = share_equally(batch.image[batch.masked], images, counts.masked if counts else None)
    share = (share / torch.bincount(owner, minlength=len(share)).clamp(min=1))[owner]
    return {
        "cross_entropy": weights.cross_entropy * (mask_cross_entropy(logits, target, window) * share).sum(),
        "dice": weights.dice * (mask_dice(logits, target, window) * share).sum(),
    }


def _projection_term(heads: Mapping[str, Tensor], batch: Batch, counts: Counts | None) -> Tensor:
    """The mean of `mask_projection` over the objects without a mask, at their own cells."""
    image = batch.image[~batch.masked]
    logits = _sample_logits(heads, image, batch.cell[~batch.masked])
    share = share_equally(image, len(batch.pixels), counts.boxed if counts else None)
    return (mask_projection(logits, _own_windows(batch, logits)[~batch.masked]) * share).sum()


def _sample_logits(heads: Mapping[str, Tensor], image: Tensor, cell: Tensor) -> Tensor:
    i, j = cell.unbind(dim=1)
    return mask_logits(heads["coefficients"][image, i, j], heads["spanning_set"], image)


def _own_windows(batch: Batch, logits: Tensor) -> Tensor:
    """The box of each object as a window of the logits: bool [M, h, w]."""
    height, width = logits.shape[1:]
    i, j = batch.cell.unbind(dim=1)
    point = torch.stack([j, i, j, i], dim=1) * (batch.pixels.shape[1] / batch.heatmap.shape[1])
    sides = batch.size * batch.size.new_tensor([-1, -1, 1, 1])
    return box_window((point + sides) / (batch.pixels.shape[1] / height), height, width)
