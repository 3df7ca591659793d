"""Boxes and masks at the cells where the network reads them, whatever its scores are.

The AP of a short run is mostly noise, because it depends on the order of all detections. Two short runs are
therefore compared object by object: by the boxes and masks that the network gives at the cell of the object's
centre, and at the highest cell of the heatmap inside the object's box.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from service.types import Size
from training.checkpoint import CheckpointRefused, load_network
from training.data.annotations import build_collection
from training.data.batch import Batch
from training.data.datasets import find_split, read_split
from training.data.faults import DataRefused
from training.data.groundtruth import TargetRules
from training.data.training_set import TrainingSet
from training.networks.blitzmask import STRIDE, BlitzMask
from training.networks.families import Network
from training.options import Data, Side
from training.validation import pick_pictures

MEASURES = ("box IoU, own cell", "box IoU, peak", "mask IoU, own cell", "mask IoU, peak")
OUTWARDS = torch.tensor([-1.0, -1.0, 1.0, 1.0])

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class CellQuality:
    """The IoUs of M objects.

    picture: int64 [M], the picture of each object. iou: float64 [M, 4], by MEASURES; NaN where the mask is
    unknown.
    """

    picture: npt.NDArray[np.int64]
    iou: Doubles

    def means(self) -> Doubles:
        """The mean of each measure over the objects: float64 [4], NaN without objects."""
        return _mean(self.iou)

    def compare(self, base: "CellQuality") -> tuple[Doubles, Doubles]:
        """The mean difference from a run on the same pictures, and its standard error: float64 [4] each.

        Objects of one picture are not independent: the error is that of the sums over pictures.
        """
        difference = self.iou - base.iou
        mean = _mean(difference)
        rest = np.nan_to_num(difference - mean)
        sums = np.zeros((int(self.picture.max(initial=-1)) + 1, len(MEASURES)))
        np.add.at(sums, self.picture, rest)
        count = (~np.isnan(difference)).sum(axis=0)
        return mean, np.sqrt((sums**2).sum(axis=0)) / np.maximum(count, 1)


def measure_cells(network: Network, batches: Iterable[Batch]) -> CellQuality:
    """The quality of a BlitzMask in evaluation mode; each batch is one picture."""
    pictures, rows = [np.zeros(0, np.int64)], [np.zeros((0, len(MEASURES)))]
    for number, batch in enumerate(batches):
        with torch.no_grad():
            heads = network(batch.pixels)
        found = _measure_picture(heads, batch)
        pictures.append(np.full(len(found), number))
        rows.append(found)
    return CellQuality(np.concatenate(pictures), np.concatenate(rows))


def _measure_picture(heads: Mapping[str, Tensor], batch: Batch) -> Doubles:
    truth = _place_boxes(batch.cell, batch.size)
    found = np.full((len(truth), len(MEASURES)), np.nan)
    for column, cells in enumerate((batch.cell, _find_peaks(heads["heatmap"][0], truth, batch.label))):
        rows, columns = cells.T
        boxes = _place_boxes(cells, heads["size"][0, rows, columns])
        found[:, column] = box_iou(boxes, truth).numpy()
        coefficients = heads["coefficients"][0, rows, columns][batch.masked]
        masks = torch.einsum("hwk,mk->mhw", heads["spanning_set"][0], coefficients) > 0
        found[batch.masked.numpy(), 2 + column] = mask_iou(masks, batch.mask.bool()).numpy()
    return found


def _place_boxes(cells: Tensor, sizes: Tensor) -> Tensor:
    """Boxes by the paper's eq. 1: float32 [M, 4] xyxy, from cells (i, j) and sizes, all in canvas pixels."""
    points = cells.flip(1).repeat(1, 2) * STRIDE
    return points + sizes * OUTWARDS


def _find_peaks(heatmap: Tensor, boxes_xyxy: Tensor, label: Tensor) -> Tensor:
    """The highest cell of each object's label among those that its box touches: int64 [M, 2]."""
    peaks = []
    for box, channel in zip((boxes_xyxy / STRIDE).tolist(), label.tolist(), strict=True):
        left, top = (max(0, int(side)) for side in box[:2])
        right, bottom = max(left + 1, math.ceil(box[2])), max(top + 1, math.ceil(box[3]))
        window = heatmap[top:bottom, left:right, channel]
        row, column = divmod(int(window.argmax()), window.shape[1])
        peaks.append((top + row, left + column))
    return torch.tensor(peaks, dtype=torch.int64).reshape(-1, 2)


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """The IoU of the boxes in the same row: float32 [M], of float32 [M, 4] xyxy; 0 where a box has no area.

    >>> box_iou(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[1.0, 0, 3, 2]]))
    tensor([0.3333])
    """
    low, high = torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1) for boxes in (first, second)]
    return shared / (areas[0] + areas[1] - shared).clamp(min=1e-6)


def mask_iou(first: Tensor, second: Tensor) -> Tensor:
    """The IoU of the masks in the same place: float32 [M], of bool [M, h, w]; 0 where both are empty."""
    shared, either = (first & second).sum((1, 2)), (first | second).sum((1, 2))
    return shared / either.clamp(min=1)


def _mean(values: Doubles) -> Doubles:
    """The mean of each column without its NaNs; NaN where nothing is left."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        means: Doubles = np.nan_to_num(values).sum(axis=0) / known.sum(axis=0)
    return means


def compare_runs(
    checkpoints: Annotated[list[Path], typer.Argument(help="checkpoint.pt of each run.", exists=True)],
    data: Data,
    split: Annotated[str, typer.Option(help="The split of the data.")] = "val",
    pictures: Annotated[int, typer.Option(help="At most so many, evenly spread.", min=1)] = 400,
    side: Side = 320,
) -> None:
    """Compare the boxes and masks of runs with those of the first one, object by object."""
    place = find_split(data, split)
    content, _ = read_split(place, "skip")
    collection = build_collection(pick_pictures(content, pictures), place.images)
    images = TrainingSet(
        collection, canvas=Size(side, side), rules=TargetRules(), augmentation=None, seed=(0,)
    )
    found = []
    for checkpoint in checkpoints:
        network, labels = load_network(checkpoint)
        if not (isinstance(network, BlitzMask) and network.architecture.masks):
            raise CheckpointRefused(
                f"{checkpoint} is not of a BlitzMask with masks: its cells cannot be read"
            )
        if labels != collection.labels:
            raise DataRefused(f"{checkpoint} learnt other categories than {data} has")
        found.append(
            measure_cells(network, (images[place] for place in track(range(len(images)), str(checkpoint))))
        )
    Console().print(draw_comparison([str(checkpoint) for checkpoint in checkpoints], found))


def draw_comparison(names: Sequence[str], found: Sequence[CellQuality]) -> Table:
    """A row for each run: its means, and from the second on the differences from the first."""
    table = Table("run", "objects", *MEASURES)
    for name, quality in zip(names, found, strict=True):
        cells = [f"{mean:.3f}" for mean in quality.means()]
        if quality is not found[0]:
            differences = zip(cells, *quality.compare(found[0]), strict=True)
            cells = [f"{mean} ({more:+.3f} ± {error:.3f})" for mean, more, error in differences]
        table.add_row(name, str(len(quality.iou)), *cells)
    return table
