"""Boxes and masks at the cells of objects, against values that were worked out by hand."""

from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor
from typer.testing import CliRunner, Result

from service.types import Size
from training.checkpoint import write_checkpoint
from training.commands import app
from training.data.annotations import read_collection
from training.data.batch import Batch
from training.data.groundtruth import TargetRules
from training.data.training_set import TrainingSet
from training.evaluation.cells import CellQuality, measure_cells
from training.networks.blitzmask import Architecture, BlitzMask
from training.networks.families import Network

NAN = float("nan")


class KnowsTheTruth:
    """A network whose heads are right at each object's own cell.

    At the cell to the right, which has a higher score, its boxes are twice as wide and its masks are empty.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __call__(self, pixels: Tensor) -> dict[str, Tensor]:
        batch = self.batch
        _, height, width, classes = batch.heatmap.shape
        heads = {
            "heatmap": torch.zeros(1, height, width, classes),
            "size": torch.zeros(1, height, width, 4),
            "coefficients": torch.zeros(1, height, width, len(batch.mask)),
            "spanning_set": batch.mask.float().permute(1, 2, 0)[None],
        }
        rows, columns = batch.cell.T
        numbers = torch.arange(len(rows))
        heads["heatmap"][0, rows, columns, batch.label] = 0.5
        heads["size"][0, rows, columns] = batch.size
        heads["coefficients"][0, rows, columns, numbers] = 1
        heads["heatmap"][0, rows, columns + 1, batch.label] = 0.9
        moved = batch.size + torch.tensor([4.0, 0, -4, 0])  # the same box, as its sides are seen from there
        moved[:, 2] += batch.size[:, 0] + batch.size[:, 2]
        heads["size"][0, rows, columns + 1] = moved
        return heads


def read_picture(tiny_set: Path) -> Batch:
    """The first picture of the tiny set, at 96x96."""
    collection = read_collection(tiny_set / "instances_train.json", tiny_set / "images")
    return TrainingSet(collection, canvas=Size(96, 96), rules=TargetRules(), augmentation=None, seed=(0,))[0]


def test_boxes_and_masks_at_the_own_cell_and_at_the_peak(tiny_set: Path) -> None:
    batch = read_picture(tiny_set)
    found = measure_cells(cast("Network", KnowsTheTruth(batch)), [batch, batch])
    assert found.picture.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(found.iou, [[1, 0.5, 1, 0]] * 4, atol=1e-6)
    np.testing.assert_allclose(found.means(), [1, 0.5, 1, 0], atol=1e-6)


def test_the_error_of_a_difference_is_that_of_pictures() -> None:
    """The differences of the first picture are 0.1 and 0.3, of the second -0.2; one mask is known."""
    base = CellQuality(np.array([0, 0, 1]), np.array([[0.5, 0.5, 0.5, NAN]] * 3))
    moved = base.iou + np.array([[0.1], [0.3], [-0.2]])
    moved[1:, 2] = NAN
    mean, error = CellQuality(base.picture, moved).compare(base)
    share = 0.2 / 3
    rest = np.array([0.1 + 0.3 - 2 * share, -0.2 - share])
    np.testing.assert_allclose(mean, [share, share, 0.1, NAN])
    np.testing.assert_allclose(error, [np.sqrt((rest**2).sum()) / 3] * 2 + [0, 0], atol=1e-12)


def write_run(folder: Path, labels: str) -> Path:
    """The checkpoint of a BlitzMask with random weights, and labels of these names."""
    network = BlitzMask(Architecture(classes=2, backbone="mobilenet_v2", width=0.25, neck_channels=8))
    content = {
        "architecture": asdict(network.architecture),
        "labels": [{"category_id": 7, "name": "disc"}, {"category_id": 3, "name": labels}],
        "average": network.state_dict(),
    }
    write_checkpoint(content, folder / f"{labels}.pt")
    return folder / f"{labels}.pt"


def compare(*checkpoints: Path, data: Path) -> Result:
    arguments = ["compare-runs", *checkpoints, "--data", data, "--split", "train", "--side", 96]
    return CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "200"})


def test_the_command_compares_runs_with_the_first(tiny_set: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path, "square")
    result = compare(run, run, data=tiny_set)
    assert result.exit_code == 0, result.output
    assert result.output.count("(+0.000 ± 0.000)") == 4


def test_runs_on_other_categories_are_refused(tiny_set: Path, tmp_path: Path) -> None:
    result = compare(write_run(tmp_path, "triangle"), data=tiny_set)
    assert result.exit_code == 2
    assert "learnt other categories" in result.output
