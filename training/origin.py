"""What a network starts from: weights of its backbone, or of a whole network that learnt something else."""

from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from service.inference.card import Card, Label, read_artifact, read_card
from training.checkpoint import read_checkpoint
from training.networks.blitzmask import BlitzMask
from training.networks.pretrained import Folded, WeightsRefused, convolutions, load_folded, unfold

CLASS_LAYER = "heads.heatmap.1."


def start_network(network: BlitzMask, labels: Sequence[Label], *, origin: Path, pixels: Tensor) -> None:
    """Gives the network the weights of `origin`.

    origin: ImageNet weights of its backbone (.npz), a model folder as it is served, or a checkpoint.pt.
    pixels: uint8 [N, H, W, 3], a few dozen of the pictures it will learn from.
    Raises WeightsRefused where they are those of another network, InvalidCard, CheckpointRefused.
    """
    if origin.suffix == ".npz":
        load_folded(network.backbone, origin, pixels)
    elif origin.is_dir():
        adopt_model(network, labels, folder=origin, pixels=pixels)
    else:
        adopt_weights(network, labels, origin)


def adopt_weights(network: BlitzMask, labels: Sequence[Label], checkpoint: Path) -> list[str]:
    """Takes over the weights that a run ended with; returns the names of those that could not be.

    The rows of the heatmap's last layer go by label name: a label that the checkpoint knows keeps what it has
    learnt, the others start as they are. Any other weight of another shape stays as it is.
    Raises CheckpointRefused.
    """
    content = read_checkpoint(checkpoint, parts=("labels", "average"))
    theirs = content.get("best") or content["average"]
    return _adopt(network, labels, theirs, [label["name"] for label in content["labels"]])


def adopt_model(network: BlitzMask, labels: Sequence[Label], *, folder: Path, pixels: Tensor) -> None:
    """Takes over what a served model's fp32 ONNX file computes, the heatmap's last layer by label name.

    Its batch normalisations are folded; on `pixels` they get statistics anew (`pretrained.unfold`).
    Raises WeightsRefused where it is another network than this one.
    """
    card = read_card(folder)
    weights = read_weights(folder, card)
    own = network.state_dict()
    layers = {}
    for name in convolutions(network):
        weight, bias = (weights.get(f"{name}.conv.weight{part}") for part in ("", "_bias"))
        if weight is None or bias is None or weight.shape != own[f"{name}.conv.weight"].shape:
            raise WeightsRefused(
                f"{folder} is a {card.network}, whose {name} is not this network's: "
                "choose its backbone, width and neck_channels in the recipe, or another --origin"
            )
        layers[name] = Folded(weight, bias)
    unfold(network, layers, lambda: network(pixels))
    _adopt(network, labels, weights, [label.name for label in card.labels])


def read_weights(folder: Path, card: Card) -> dict[str, Tensor]:
    """The constants of a model's fp32 ONNX file by name; raises WeightsRefused where it has none."""
    for file in card.files:
        if (file.runtime, file.precision) == ("onnx", "fp32"):
            graph = onnx.load_model_from_string(read_artifact(folder, file)).graph
            return {item.name: torch.tensor(numpy_helper.to_array(item)) for item in graph.initializer}
    raise WeightsRefused(f"{folder} has no ONNX file of fp32, whose weights a run could start from")


def _adopt(
    network: BlitzMask, labels: Sequence[Label], theirs: dict[str, Tensor], known: list[str]
) -> list[str]:
    own = network.state_dict()
    adopted = {
        name: theirs[name]
        for name, value in own.items()
        if name in theirs and theirs[name].shape == value.shape and not name.startswith(CLASS_LAYER)
    }
    for name in (name for name in own if name.startswith(CLASS_LAYER)):
        if own[name].shape[1:] == theirs[name].shape[1:]:
            adopted[name] = _match_rows(own[name], theirs[name], _find_rows(labels, known))
    network.load_state_dict(adopted, strict=False)
    return [name for name in own if name not in adopted]


def _find_rows(labels: Sequence[Label], known: list[str]) -> dict[int, int]:
    """Own row -> their row."""
    places = {name.casefold(): row for row, name in enumerate(known)}
    return {
        row: places[label.name.casefold()]
        for row, label in enumerate(labels)
        if label.name.casefold() in places
    }


def _match_rows(own: Tensor, theirs: Tensor, rows: dict[int, int]) -> Tensor:
    matched = own.clone()
    matched[list(rows)] = theirs[list(rows.values())]
    return matched
