"""Ground truth as the losses take it: batches, and the cells at which the network learns boxes and masks.

In the paper each object has one such cell, the one of its centre. TTFNet (Liu et al., AAAI 2020, sec. 3.3)
uses all cells of a Gaussian around the centre, because the peak of the heatmap is often a cell or two off,
and the network then reads the box there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from service.types import Size
from training.networks.blitzmask import STRIDE


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

    The network learns sizes and coefficients at P cells (see `Samples`):
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


Cells = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """P cells, object by object, the object's own cell first.

    owner: int64 [P], the object's number. cell: int64 [P, 2], (i, j). size: float64 [P, 4], (left, top,
    right, bottom) from the cell's point, canvas pixels. weight: float64 [P], positive; an object's weights
    sum to 1.
    masked: bool [P], whether the object's mask is learnt here too.
    """

    owner: Cells
    cell: Cells
    size: Doubles
    weight: Doubles
    masked: npt.NDArray[np.bool_]


def single_samples(boxes_xyxy: Doubles, cells: Cells, masked: npt.NDArray[np.bool_]) -> Samples:
    """One sample an object, at its own cell, as in the paper.

    boxes_xyxy: float64 [M, 4], canvas frame. cells: int64 [M, 2]. masked: bool [M], True if the mask is
    known.
    """
    owner = np.arange(len(cells))
    return Samples(owner, cells, distances(boxes_xyxy, cells), np.ones(len(cells)), masked)


def dense_samples(boxes_xyxy: Doubles, cells: Cells, *, canvas: Size, alpha: float) -> Samples:
    """Samples at all cells of a Gaussian around each object's own cell; `masked` is False for all.

    The Gaussian's radius is `alpha` times half the box, at least one cell, without the cells outside the box.
    A cell of several objects belongs to the smallest one, but every object keeps its own cell.
    boxes_xyxy: float64 [M, 4], canvas frame. cells: int64 [M, 2].
    """
    grid = (canvas.height // STRIDE, canvas.width // STRIDE)
    holder, height = np.full(grid, -1, np.int64), np.zeros(grid)
    sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    for number in np.argsort(-sides.prod(axis=1), kind="stable").tolist():
        rows, columns, bell = gaussian_window(cells[number], sides[number], alpha, grid)
        holder[rows, columns], height[rows, columns] = number, bell
    i, j = np.nonzero(holder >= 0)
    own = np.arange(len(cells))
    owner, cell = np.append(own, holder[i, j]), np.concatenate([cells, np.stack([i, j], axis=1)])
    weight = np.append(np.ones(len(cells)), height[i, j])
    size = distances(boxes_xyxy[owner], cell)
    kept = (size > 0).all(axis=1) & ~_is_own(cell, cells)
    kept[: len(cells)] = True
    order = np.flatnonzero(kept)[np.argsort(owner[kept], kind="stable")]
    owner, weight = owner[order], weight[order]
    weight = weight / np.bincount(owner, weight, minlength=len(cells))[owner]
    return Samples(owner, cell[order], size[order], weight, np.zeros(len(order), bool))


def _is_own(cell: Cells, cells: Cells) -> npt.NDArray[np.bool_]:
    """True for the cells that are any object's own: bool [P]."""
    own = set(map(tuple, cells.tolist()))
    return np.array([place in own for place in map(tuple, cell.tolist())], bool)


def gaussian_window(
    cell: Cells, sides: Doubles, alpha: float, grid: tuple[int, int]
) -> tuple[slice, slice, Doubles]:
    """Rows, columns and values of a Gaussian with peak 1 at the cell, clipped to the grid.

    sides: (width, height) of the box, canvas pixels. Along each axis the radius r is alpha * side / 2 in
    whole cells, at least 1, and sigma is (2 r + 1) / 6.
    """
    slices, bells = [], []
    for centre, side, count in zip(cell, sides[::-1], grid, strict=True):
        radius = max(1, int(alpha * side / 2 / STRIDE))
        places = np.arange(max(0, centre - radius), min(count, centre + radius + 1))
        sigma = (2 * radius + 1) / 6
        slices.append(slice(int(places[0]), int(places[-1]) + 1))
        bells.append(np.exp(-((places - centre) ** 2) / (2 * sigma * sigma)))
    return slices[0], slices[1], np.outer(*bells)


def distances(boxes_xyxy: Doubles, cells: Cells) -> Doubles:
    """(left, top, right, bottom) from each cell's point to the sides of its box, canvas pixels: float64 [P,
    4].
    """
    points = STRIDE * np.asarray(cells)[:, ::-1]
    return np.concatenate([points - boxes_xyxy[:, :2], boxes_xyxy[:, 2:] - points], axis=1)


def choose_mask_cells(
    samples: Samples, masked: npt.NDArray[np.bool_], *, count: int, random: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """True for up to `count` cells of each object with a mask: bool [P].

    The object's own cell is always chosen. The others are drawn without replacement, with probabilities in
    proportion to their weights (the Gumbel-top-k trick).
    """
    first = np.append(True, np.diff(samples.owner) > 0)[: len(samples.owner)]
    keys = np.log(samples.weight) + random.gumbel(size=len(samples.owner))
    keys[first] = np.inf
    order = np.lexsort((-keys, samples.owner))
    starts = np.flatnonzero(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - starts[np.cumsum(first) - 1]
    return np.logical_and(rank < count, masked[samples.owner])
