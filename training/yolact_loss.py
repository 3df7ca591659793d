"""The terms of YOLACT's loss (Bolya et al., 2019, sec. 3), with the rules and weights of the authors' code.

Anchors and boxes are float32 [N, 4] in parts of the canvas: `priors` as (centre x, centre y, width, height),
`boxes_xyxy` as corners.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from training.data.batch import Batch
from training.losses import mask_logits

POSITIVE_IOU = 0.5  # of an anchor and an object: the anchor learns the object from this value on
NEGATIVE_IOU = 0.4  # below this value with all objects the anchor learns background
BACKGROUND, IGNORED = -1, -2  # in place of an object's number
HARD_NEGATIVES = 3  # background anchors for each anchor with an object
CENTRE_UNIT, SIZE_UNIT = 0.1, 0.2  # SSD's variances


@dataclass(frozen=True, slots=True)
class YolactWeights:
    """The weights of the terms; most_masks: anchors of an image whose masks are learnt in one step."""

    classes: float = 1.0
    boxes: float = 1.5
    masks: float = 6.125
    semantic: float = 1.0
    most_masks: int = 100


def yolact_loss(
    heads: Mapping[str, Tensor], batch: Batch, weights: YolactWeights = YolactWeights()
) -> dict[str, Tensor]:
    """The weighted terms by name, each divided by the batch's anchors with objects; their sum is the loss.

    heads: of a `Yolact` in training. Classes that do not count at an anchor, for example because the picture
    has no labels of them, are left out of its cross-entropy. The semantic term is divided by the cells of all
    images instead.
    """
    owner = match_batch(heads["priors"], batch)  # [B, A]
    allowed = find_allowed(heads["priors"], batch, owner)
    image, anchor = (owner >= 0).nonzero(as_tuple=True)
    item = owner[image, anchor]
    positives = max(1, len(item))
    offsets = encode_boxes(object_boxes(batch)[item], heads["priors"][image, anchor])
    boxes = F.smooth_l1_loss(heads["loc"][image, anchor], offsets, reduction="sum")
    classes = [
        ohem_cross_entropy(logits.masked_fill(~wanted, -torch.inf), label_anchors(own, batch.label)).sum()
        for logits, wanted, own in zip(heads["conf"], allowed, owner, strict=True)
    ]
    return {
        "classes": weights.classes * torch.stack(classes).sum() / positives,
        "boxes": weights.boxes * boxes / positives,
        "masks": weights.masks * _sum_masks(heads, batch, owner, weights.most_masks) / positives,
        "semantic": weights.semantic
        * semantic_cross_entropy(heads["semantic"], *draw_semantic(heads, batch)),
    }


def object_boxes(batch: Batch) -> Tensor:
    """The boxes of the batch's objects, corners in parts of the canvas: float32 [M, 4]."""
    height, width = batch.pixels.shape[1:3]
    i, j = batch.cell.unbind(dim=1)
    point = torch.stack([j, i, j, i], dim=1) * (height / batch.heatmap.shape[1])
    sides = batch.size * batch.size.new_tensor([-1, -1, 1, 1])
    return (point + sides) / batch.size.new_tensor([width, height, width, height])


def match_batch(priors: Tensor, batch: Batch) -> Tensor:
    """The object of each anchor in each image, or BACKGROUND or IGNORED: int64 [B, A]."""
    corners, boxes, owners = to_corners(priors[0]), object_boxes(batch), []
    for number in range(len(batch.pixels)):
        own = (batch.image == number).nonzero()[:, 0]
        match = match_anchors(corners, boxes[own])
        owners.append(torch.where(match >= 0, match + (own[0] if len(own) else 0), match))
    return torch.stack(owners)


def match_anchors(anchors_xyxy: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """The box of each anchor, or BACKGROUND or IGNORED: int64 [A].

    A box that no anchor overlaps enough still gets one: best pairs of all first, each anchor for one box.
    """
    if not len(boxes_xyxy):
        return torch.full((len(anchors_xyxy),), BACKGROUND, device=anchors_xyxy.device)
    overlaps = box_iou(anchors_xyxy, boxes_xyxy)  # [A, M]
    best, match = overlaps.max(dim=1)
    match = torch.where(best >= POSITIVE_IOU, match, IGNORED)
    match = torch.where(best < NEGATIVE_IOU, BACKGROUND, match)
    for _ in range(min(overlaps.shape)):
        anchor, box = divmod(int(overlaps.argmax()), overlaps.shape[1])
        match[anchor] = box
        overlaps[anchor], overlaps[:, box] = -1, -1
    return match


def box_iou(first_xyxy: Tensor, second_xyxy: Tensor) -> Tensor:
    """The IoU of each pair of boxes: float32 [N, M]."""
    low = torch.maximum(first_xyxy[:, None, :2], second_xyxy[:, :2])
    high = torch.minimum(first_xyxy[:, None, 2:], second_xyxy[:, 2:])
    common = (high - low).clamp(min=0).prod(dim=2)
    first, second = ((each[:, 2:] - each[:, :2]).prod(dim=1) for each in (first_xyxy, second_xyxy))
    return common / (first[:, None] + second - common)


def to_corners(priors: Tensor) -> Tensor:
    half = priors[:, 2:] / 2
    return torch.cat([priors[:, :2] - half, priors[:, :2] + half], dim=1)


def encode_boxes(boxes_xyxy: Tensor, priors: Tensor) -> Tensor:
    """The offsets of boxes from their anchors, as the service's decoder reads them: float32 [N, 4]."""
    sizes = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    centres = boxes_xyxy[:, :2] + sizes / 2
    moves = (centres - priors[:, :2]) / (CENTRE_UNIT * priors[:, 2:])
    return torch.cat([moves, (sizes / priors[:, 2:]).log() / SIZE_UNIT], dim=1)


def find_allowed(priors: Tensor, batch: Batch, owner: Tensor) -> Tensor:
    """True for background, an anchor's own class, and the classes that count there: bool [B, A, 1 + C]."""
    height, width = batch.counted.shape[1:3]
    j, i = (priors[0, :, :2] * priors.new_tensor([width, height])).long().unbind(dim=1)
    allowed = F.pad(batch.counted[:, i, j], (1, 0), value=True)
    image, anchor = (owner >= 0).nonzero(as_tuple=True)
    allowed[image, anchor, batch.label[owner[image, anchor]] + 1] = True
    return allowed


def label_anchors(owner: Tensor, label: Tensor) -> Tensor:
    """The channel of each anchor of an image, 0 for background, or IGNORED: int64 [A].

    owner: int64 [A]. label: int64 [M], of all objects of the batch.
    """
    if not len(label):
        return torch.where(owner == BACKGROUND, 0, IGNORED)
    return torch.where(
        owner >= 0, label[owner.clamp(min=0)] + 1, torch.where(owner == BACKGROUND, 0, IGNORED)
    )


def ohem_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """The cross-entropy of all objects, and of the hardest background, three times as much: float [n].

    logits: float [A, 1 + C], background first; target: int64 [A], 0 for background, or IGNORED. "Hardest" is
    the highest loss (online hard example mining: Shrivastava et al., 2016). An image without objects has no
    loss.
    """
    losses = F.cross_entropy(logits, target, ignore_index=IGNORED, reduction="none")
    background = losses[target == 0]
    count = min(len(background), HARD_NEGATIVES * int((target > 0).sum()))
    return torch.cat([losses[target > 0], background.topk(count).values])


def _sum_masks(heads: Mapping[str, Tensor], batch: Batch, owner: Tensor, most: int) -> Tensor:
    """The sum over the anchors whose object has a mask, of at most `most` random ones an image."""
    targets = resize_masks(batch.mask, heads["proto"].shape[1:3])
    number = batch.masked.cumsum(dim=0) - 1  # of an object among the masked ones
    boxes = object_boxes(batch)
    # All processes of a run need a gradient of both heads, also for a batch without masks.
    total = (heads["proto"].sum() + heads["mask"].sum()) * 0
    for place, (own, prototypes) in enumerate(zip(owner, heads["proto"], strict=True)):
        anchors = (own >= 0).nonzero()[:, 0]
        anchors = anchors[batch.masked[own[anchors]]]
        if not len(anchors):
            continue
        chosen = anchors[torch.randperm(len(anchors), device=anchors.device)[:most]]
        item = own[chosen]
        image = torch.zeros_like(chosen)
        logits = mask_logits(heads["mask"][place, chosen], prototypes[None], image)
        losses = cropped_cross_entropy(logits, targets[number[item]], boxes[item])
        total = total + losses.sum() * (len(anchors) / len(chosen))
    return total


def cropped_cross_entropy(logits: Tensor, target: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """Binary cross-entropy summed over each box and one cell around it, over the box's area: float [P].

    logits, target: float [P, h, w]; boxes_xyxy: float [P, 4], in parts. The area is in cells.
    """
    height, width = logits.shape[1:]
    scaled = boxes_xyxy * boxes_xyxy.new_tensor([width, height, width, height])
    sides = (scaled[:, 2:] - scaled[:, :2]).clamp(min=1e-4)
    rows = _near(scaled[:, 1], scaled[:, 3], height)
    columns = _near(scaled[:, 0], scaled[:, 2], width)
    losses = F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), reduction="none")
    inside = losses * (rows[:, :, None] & columns[:, None, :])
    return inside.sum(dim=(1, 2)) / sides.prod(dim=1)


def _near(starts: Tensor, ends: Tensor, cells: int) -> Tensor:
    """True from one cell before the start up to one after the end, as in the decoder: bool [P, cells]."""
    at = torch.arange(cells, device=starts.device)
    return (at >= starts[:, None] - 1) & (at < ends[:, None] + 1)


def resize_masks(masks: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Masks at another resolution, interpolated and cut at 0.5: float32 [K, h, w] of uint8 [K, h', w']."""
    if not len(masks):
        return masks.new_zeros((0, *size), dtype=torch.float32)
    resized = F.interpolate(masks[:, None].float(), tuple(size), mode="bilinear", align_corners=False)
    return (resized[:, 0] > 0.5).float()


def draw_semantic(heads: Mapping[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
    """The cells that objects of each class cover, and the cells that count: float32 and bool [B, h, w, C].

    A class does not count in images where an object of it has no mask.
    """
    size = heads["semantic"].shape[1:3]
    target = torch.zeros_like(heads["semantic"])
    image, label = batch.image[batch.masked], batch.label[batch.masked]
    for mask, place, channel in zip(resize_masks(batch.mask, size), image, label, strict=True):
        target[place, :, :, channel] = torch.maximum(target[place, :, :, channel], mask)
    step = batch.counted.shape[1] // size[0]
    counted = batch.counted[:, ::step, ::step].clone()
    counted[batch.image[~batch.masked], :, :, batch.label[~batch.masked]] = False
    return target, counted | (target > 0)


def semantic_cross_entropy(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Binary cross-entropy summed over the classes, the mean over cells and images: float [].

    logits, target: float [B, h, w, C]; counted: bool [B, h, w, C].
    """
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * counted
    return losses.sum() / target[..., 0].numel()
