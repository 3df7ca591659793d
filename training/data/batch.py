"""Pictures with their ground truth, as the losses take them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """B images of one size with M objects, sorted by image.

    pixels: uint8 [B, H, W, 3].
    heatmap: float32 [B, h, w, C], 1 at centres.
    counted: bool [B, h, w, C], False where background is no negative.
    image: int64 [M], the object's image. label: int64 [M]. cell: int64 [M, 2], (i, j), the cell of its
    centre.
    size: float32 [M, 4], (left, top, right, bottom) from the cell's point, canvas pixels.
    masked: bool [M], whether its mask is known.
    mask: uint8 [K, h', w'], 0 or 1, of the K masked objects; h' is a multiple of h.

    The network learns sizes and coefficients at P cells (see `samples`):
    sample_object: int64 [P], the object's number. sample_cell: int64 [P, 2]. sample_size: float32 [P, 4].
    sample_weight: float32 [P], which sums to 1 over an object. sample_masked: bool [P], True where the mask
    is learnt too.
    """

    pixels: Tensor
    heatmap: Tensor
    counted: Tensor
    image: Tensor
    label: Tensor
    cell: Tensor
    size: Tensor
    masked: Tensor
    mask: Tensor
    sample_object: Tensor
    sample_cell: Tensor
    sample_size: Tensor
    sample_weight: Tensor
    sample_masked: Tensor

    def to(self, device: torch.device) -> "Batch":
        moved = {
            field.name: getattr(self, field.name).to(device, non_blocking=True) for field in fields(Batch)
        }
        return Batch(**moved)

    def pin_memory(self) -> "Batch":
        """A copy in page-locked memory; torch's loader calls this."""
        return Batch(**{field.name: getattr(self, field.name).pin_memory() for field in fields(Batch)})


def join_batches(batches: Sequence[Batch]) -> Batch:
    """One batch of several; image and object numbers are shifted accordingly."""
    columns = {field.name: [getattr(batch, field.name) for batch in batches] for field in fields(Batch)}
    for name, counted in (("image", "pixels"), ("sample_object", "image")):
        starts = np.cumsum([0] + [len(getattr(batch, counted)) for batch in batches[:-1]])
        columns[name] = [number + int(start) for number, start in zip(columns[name], starts, strict=True)]
    return Batch(**{name: torch.cat(values) for name, values in columns.items()})
