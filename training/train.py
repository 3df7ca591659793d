"""A training run, from its recipe and data to its last checkpoint."""

from pathlib import Path

import torch
from torch import Tensor

from service.inference.card import Label
from service.types import Size
from training.annotations import Collection, read_collection
from training.augment import fit_view
from training.checkpoint import read_checkpoint
from training.data import read_pixels
from training.folder import Split
from training.journal import Listener
from training.loop import Judge, Trainer
from training.networks.blitzmask import Architecture, BlitzMask
from training.origin import start_network
from training.recipe import Recipe

CALIBRATION_PICTURES = 32
CALIBRATION_CANVAS = Size(320, 320)


def train(
    recipe: Recipe, split: Split, folder: Path, *, origin: Path | None, listener: Listener
) -> BlitzMask:
    """The averaged network at the recipe's end; goes on from the folder's checkpoint where there is one.

    origin: what the network starts from, see `origin.start_network`; None for random weights.
    """
    collection = read_collection(split.annotations, split.images, trust_absence=recipe.trust_absence)
    trainer = prepare_trainer(recipe, collection, folder, origin=origin)
    trainer.run(listener)
    return trainer.average.network.cpu()


def prepare_trainer(
    recipe: Recipe, collection: Collection, folder: Path, *, origin: Path | None, judge: Judge | None = None
) -> Trainer:
    """A trainer where the folder's checkpoint left off, else at the start, from `origin`."""
    torch.manual_seed(recipe.seed)
    network = BlitzMask(recipe.architecture(len(collection.labels)))
    if origin is not None and not (folder / "checkpoint.pt").exists():
        start_network(network, collection.labels, origin=origin, pixels=calibration_pixels(collection))
    trainer = Trainer(network, collection, recipe, folder, judge=judge)
    trainer.resume()
    return trainer


def calibration_pixels(collection: Collection) -> Tensor:
    """A few dozen pictures from all over the collection: uint8 [N, H, W, 3]."""
    pictures = collection.pictures[:: max(1, len(collection.pictures) // CALIBRATION_PICTURES)]
    canvases = [
        fit_view(picture.size, CALIBRATION_CANVAS).place_pixels(read_pixels(picture)) for picture in pictures
    ]
    return torch.stack([torch.from_numpy(canvas) for canvas in canvases])


def load_network(checkpoint: Path) -> tuple[BlitzMask, tuple[Label, ...]]:
    """The network that a run ended with, ready to be exported, and its labels.

    That is the average at the best examination where the recipe had the patience to look for it, else at the
    end. Raises CheckpointRefused.
    """
    content = read_checkpoint(checkpoint, parts=("architecture", "labels", "average"))
    network = BlitzMask(Architecture(**content["architecture"]))
    network.load_state_dict(content.get("best") or content["average"])
    return network.eval(), tuple(Label(**label) for label in content["labels"])
