"""What a network starts from: weights of its backbone, or of a whole network that learnt something else."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from service.inference.card import Card, Label, read_artifact, read_card
from training.checkpoint import read_checkpoint
from training.networks.backbones import Backbone
from training.networks.blitzmask import BlitzMask
from training.networks.layers import Convolution


class WeightsRefused(ValueError):
    """They are not those of the network that was to have them."""


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """A `Convolution` without its normalisation: weight * x + bias."""

    weight: Tensor
    bias: Tensor


def load_folded(backbone: Backbone, path: Path, pixels: Tensor) -> None:
    """Gives the backbone the function of an archive's folded weights (.npz: stem, block01.depthwise, ...).

    pixels: uint8 [N, H, W, 3], real photos, a few dozen.
    Raises WeightsRefused where they are those of another backbone.
    """
    arrays = _read_archive(path)
    layers = {}
    for name, layer in convolutions(backbone).items():
        place = _archive_name(name)
        weight, bias = (arrays.get(f"{place}.{part}") for part in ("weight", "bias"))
        if weight is None or bias is None or weight.shape != layer.conv.weight.shape:
            raise WeightsRefused(
                f"{path} has no {place}.weight of {list(layer.conv.weight.shape)} with its bias: "
                "choose its backbone and width in the recipe, or another --origin"
            )
        layers[name] = Folded(weight, bias)
    image = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
    unfold(backbone, layers, lambda: backbone(image))


def _read_archive(path: Path) -> dict[str, Tensor]:
    try:
        with np.load(path) as archive:
            return {key: torch.from_numpy(archive[key]) for key in archive.files}
    except (TypeError, ValueError, BadZipFile) as error:
        raise WeightsRefused(f"{path} is not an .npz archive of arrays: {error}") from error


def convolutions(network: nn.Module) -> dict[str, Convolution]:
    """By name, in the order of the network's modules."""
    return {name: module for name, module in network.named_modules() if isinstance(module, Convolution)}


def fold(layer: Convolution) -> Folded:
    """What the layer computes in evaluation, without its activation."""
    norm = layer.norm
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    weight, bias = layer.conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale
    return Folded(weight.detach(), bias.detach())


def unfold(network: nn.Module, layers: Mapping[str, Folded], run: Callable[[], object]) -> None:
    """Gives the named convolutions the function of folded ones, with normalisations fit for training.

    A folded layer computes z + bias, z = weight * x. Its normalisation is set to the same function, with the
    mean and variance of z as its statistics, while `run` computes the network on real photos. So neither
    evaluation nor training mode, whose statistics are those of the batch, departs from it.
    """
    own = convolutions(network)
    handles = []
    for name, folded in layers.items():
        own[name].conv.weight.data.copy_(folded.weight)
        handles.append(own[name].norm.register_forward_pre_hook(_statistics_setter(folded.bias)))
    training = network.training
    network.eval()
    with torch.no_grad():
        run()
    network.train(training)
    for handle in handles:
        handle.remove()


def _statistics_setter(bias: Tensor) -> Callable[[nn.BatchNorm2d, tuple[Tensor]], None]:
    def set_statistics(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3))
        state = {
            "running_mean": mean,
            "running_var": variance,
            "weight": (variance + norm.eps).sqrt(),
            "bias": mean + bias,
        }
        norm.load_state_dict(state, strict=False)

    return set_statistics


def _archive_name(name: str) -> str:
    """
    >>> _archive_name("blocks.0"), _archive_name("blocks.7.expand")
    ('stem', 'block07.expand')
    """
    _, number, *layer = name.split(".")
    return f"block{int(number):02d}.{layer[0]}" if layer else "stem"


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
