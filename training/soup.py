"""One network from several that began alike: their mean (model soups: Wortsman et al., 2022)."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from service.inference.card import Label, read_card
from training.annotations import read_collection
from training.checkpoint import read_checkpoint, write_checkpoint
from training.folder import find_split
from training.networks.blitzmask import BlitzMask
from training.networks.pretrained import Folded, WeightsRefused, convolutions, fold, unfold
from training.options import Checkpoint, Data
from training.origin import start_network
from training.train import calibration_pixels, load_network


def soup(
    checkpoint: Checkpoint,
    others: Annotated[
        list[Path], typer.Argument(help="Model folders, or checkpoints, of the same network.", exists=True)
    ],
    data: Data,
    out: Annotated[Path, typer.Option(help="The checkpoint.pt to write, for `export` and `release`.")],
) -> None:
    """Average networks that went on from one another: the mean may be better than each, at no cost."""
    network, labels = load_network(checkpoint)
    split = find_split(data, "train")
    pixels = calibration_pixels(read_collection(split.annotations, split.images))
    networks = [network, *(read_alike(network, labels, origin=other, pixels=pixels) for other in others)]
    blend = average_networks(networks, pixels)
    content = {
        "architecture": asdict(blend.architecture),
        "labels": [label.model_dump() for label in labels],
        "average": blend.state_dict(),
    }
    write_checkpoint(content, out)
    typer.echo(f"{out}: the mean of {len(networks)} networks")


def read_alike(network: BlitzMask, labels: Sequence[Label], *, origin: Path, pixels: Tensor) -> BlitzMask:
    """The network of a model folder or a checkpoint.

    Raises WeightsRefused where it is not one like `network`, InvalidCard, CheckpointRefused.
    """
    if origin.is_dir():
        theirs = read_card(origin).labels
    else:
        content = read_checkpoint(origin, parts=("labels", "average"))
        theirs = tuple(Label(**label) for label in content["labels"])
        if {name: value.shape for name, value in content["average"].items()} != {
            name: value.shape for name, value in network.state_dict().items()
        }:
            raise WeightsRefused(f"{origin} is a network of another shape: only those alike have a mean")
    if tuple(theirs) != tuple(labels):
        raise WeightsRefused(f"{origin} has other labels: only networks of the same ones have a mean")
    other = BlitzMask(network.architecture)
    start_network(other, labels, origin=origin, pixels=pixels)
    return other


def average_networks(networks: Sequence[BlitzMask], pixels: Tensor) -> BlitzMask:
    """A network whose weights, with the normalisations folded into them, are the means of theirs.

    pixels: uint8 [N, H, W, 3], a few dozen pictures, for the statistics of its normalisations.
    """
    blend = BlitzMask(networks[0].architecture)
    states = [network.state_dict() for network in networks]
    blend.load_state_dict({name: _mean([state[name] for state in states]) for name in states[0]})
    folded = [{name: fold(layer) for name, layer in convolutions(network).items()} for network in networks]
    layers = {
        name: Folded(
            _mean([layers[name].weight for layers in folded]), _mean([layers[name].bias for layers in folded])
        )
        for name in folded[0]
    }
    unfold(blend, layers, lambda: blend(pixels))
    return blend.eval()


def _mean(values: Sequence[Tensor]) -> Tensor:
    """Of the same kind of number: a count of batches stays one."""
    return torch.stack(list(values)).double().mean(dim=0).to(values[0].dtype)
