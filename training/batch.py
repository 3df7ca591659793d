"""What the network is shown and asked for, one picture or many."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """B images of one size with M objects among them, image by image.

    pixels: uint8 [B, H, W, 3].
    heatmap: float32 [B, h, w, C], 1 at centres.
    counted: bool [B, h, w, C], False where background says nothing.
    image: int64 [M], whose object it is. label: int64 [M]. cell: int64 [M, 2], (i, j).
    size: float32 [M, 4], (left, top, right, bottom) from the cell's point, canvas pixels.
    mask: uint8 [M, h', w'], 0 or 1, h' a multiple of h.
    masked: bool [M], False where the mask is unknown.
    """

    pixels: Tensor
    heatmap: Tensor
    counted: Tensor
    image: Tensor
    label: Tensor
    cell: Tensor
    size: Tensor
    mask: Tensor
    masked: Tensor

    def to(self, device: torch.device) -> "Batch":
        moved = {
            field.name: getattr(self, field.name).to(device, non_blocking=True) for field in fields(Batch)
        }
        return Batch(**moved)

    def pin_memory(self) -> "Batch":
        """In memory that a GPU can read by itself; torch's loader calls this."""
        return Batch(**{field.name: getattr(self, field.name).pin_memory() for field in fields(Batch)})


def join_batches(batches: Sequence[Batch]) -> Batch:
    """One batch of several, their objects' image numbers shifted."""
    columns = {field.name: [getattr(batch, field.name) for batch in batches] for field in fields(Batch)}
    starts = np.cumsum([0] + [len(batch.pixels) for batch in batches[:-1]])
    columns["image"] = [image + int(start) for image, start in zip(columns["image"], starts, strict=True)]
    return Batch(**{name: torch.cat(values) for name, values in columns.items()})
