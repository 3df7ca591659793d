"""Mosaics: four pictures on one canvas, each in its quarter (Bochkovskiy et al., 2020, sec. 3.3).

They are put together after their targets are drawn, so every quarter keeps what its own picture knows: which
labels it is silent about, and what of an object its edge cuts off.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from training.batch import Batch, join_batches


def tile_batches(quarters: Sequence[Batch]) -> Batch:
    """One picture of four of equal size, row by row: a batch of one, twice as high and as wide."""
    height, width = quarters[0].heatmap.shape[1:3]
    placed = [_move(batch, number, height, width) for number, batch in enumerate(quarters)]
    return replace(
        join_batches(placed),
        pixels=_tile([batch.pixels for batch in quarters]),
        heatmap=_tile([batch.heatmap for batch in quarters]),
        counted=_tile([batch.counted for batch in quarters]),
        image=torch.zeros(sum(len(batch.image) for batch in quarters), dtype=torch.int64),
    )


def _tile(fields: Sequence[Tensor]) -> Tensor:
    """[1, 2H, 2W, C] of four [1, H, W, C]."""
    rows = [torch.cat(list(fields[start : start + 2]), dim=2) for start in (0, 2)]
    return torch.cat(rows, dim=1)


def _move(batch: Batch, number: int, height: int, width: int) -> Batch:
    """The objects of a quarter where they lie on the whole canvas; the quarter has height x width cells."""
    row, column = divmod(number, 2)
    mask_height, mask_width = batch.mask.shape[1:]
    around = (
        column * mask_width,
        (1 - column) * mask_width,
        row * mask_height,
        (1 - row) * mask_height,
    )
    offset = torch.tensor([row * height, column * width])
    return replace(batch, cell=batch.cell + offset, mask=F.pad(batch.mask, around))
