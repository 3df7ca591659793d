"""Distillation: the heads of a served BlitzMask as soft targets of a BlitzMask in training.

The teacher runs in the service's backend, on the very pixels of the batch. It may have another backbone, neck
and canvas, and it may lack some of the student's labels; these learn from the ground truth alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from service.inference.backends import BackendChoice, open_backend
from service.inference.card import Label, read_card
from service.types import Size

TINY = 1e-6
SIZE_WEIGHT = 0.05  # as of the ground truth's L1 term


class TeacherRefused(ValueError):
    """A model folder cannot teach this network."""


@dataclass(frozen=True, slots=True)
class SoftTargets:
    """The teacher's heads on the student's grid and in the student's pixels.

    heatmap: float32 [B, h, w, C]. size: float32 [B, h, w, 4]. known: bool [C], the labels that it knows.
    """

    heatmap: Tensor
    size: Tensor
    known: Tensor


class Teacher:
    """A model folder, opened for the labels of a student; raises TeacherRefused, ArtifactError."""

    def __init__(self, folder: Path, labels: Sequence[Label]) -> None:
        card = read_card(folder)
        if card.decoder.family != "centers":
            raise TeacherRefused(
                f"{folder} is a {card.network}, but only a BlitzMask can teach: use another --teacher, or "
                "make labels of its answers with pseudo-label"
            )
        theirs = {label.name.casefold(): channel for channel, label in card.labels_by_channel().items()}
        self._channels = [theirs.get(label.name.casefold()) for label in labels]
        if not any(channel is not None for channel in self._channels):
            raise TeacherRefused(f"{folder} has none of the labels of the data: use another --teacher")
        self._canvas = card.canvas
        self._backend = open_backend(folder, card, BackendChoice(threads=torch.get_num_threads()))

    def answer(self, pixels: Tensor, grid: Size) -> SoftTargets:
        """The soft targets for uint8 [B, H, W, 3] on a grid of cells."""
        heads = self._backend.run(resize_pixels(pixels.cpu(), self._canvas).numpy())
        heatmap, size = (torch.from_numpy(heads[name]) for name in ("heatmap", "size"))
        absent = torch.zeros_like(heatmap[..., 0])
        chosen = [absent if channel is None else heatmap[..., channel] for channel in self._channels]
        scale_x, scale_y = pixels.shape[2] / self._canvas.width, pixels.shape[1] / self._canvas.height
        return SoftTargets(
            heatmap=resize_cells(torch.stack(chosen, dim=3), grid).to(pixels.device),
            size=resize_cells(size * size.new_tensor([scale_x, scale_y] * 2), grid).to(pixels.device),
            known=torch.tensor([channel is not None for channel in self._channels], device=pixels.device),
        )

    def find_terms(self, heads: Mapping[str, Tensor], pixels: Tensor) -> dict[str, Tensor]:
        """The terms of `distillation_loss` for the student's heads of uint8 [B, H, W, 3]."""
        return distillation_loss(heads, self.answer(pixels, Size(*heads["heatmap"].shape[1:3])))


def distillation_loss(heads: Mapping[str, Tensor], soft: SoftTargets) -> dict[str, Tensor]:
    """The terms by name, both divided by the sum of the teacher's scores, but at least by 1.

    The heatmap's is the quality focal loss: cross-entropy times the squared difference of the scores
    (Li et al., 2020, "Generalized focal loss", eq. 2). The size's is L1, weighted by the teacher's best score
    at the cell.
    """
    total = soft.heatmap.sum().clamp(min=1)
    score = heads["heatmap"].float().clamp(TINY, 1 - TINY)
    losses = F.binary_cross_entropy(score, soft.heatmap, reduction="none") * (score - soft.heatmap) ** 2
    differences = (heads["size"] - soft.size).abs().sum(dim=3) * soft.heatmap.amax(dim=3)
    return {
        "teacher_heatmap": (losses * soft.known).sum() / total,
        "teacher_size": SIZE_WEIGHT * differences.sum() / total,
    }


def resize_pixels(pixels: Tensor, canvas: Size) -> Tensor:
    """The pictures at the teacher's size: uint8 [B, H', W', 3]."""
    if pixels.shape[1:3] == (canvas.height, canvas.width):
        return pixels.contiguous()
    return resize_cells(pixels.float(), canvas).round().clamp(0, 255).to(torch.uint8).contiguous()


def resize_cells(values: Tensor, grid: Size) -> Tensor:
    """Values at another resolution, interpolated, and averaged where it is coarser: float [B, h, w, C]."""
    if values.shape[1:3] == (grid.height, grid.width):
        return values
    planes = values.permute(0, 3, 1, 2)
    shape = (grid.height, grid.width)
    resized = F.interpolate(planes, shape, mode="bilinear", align_corners=False, antialias=True)
    return resized.permute(0, 2, 3, 1)
