"""Weights with folded batch normalisations, and their use in networks that have normalisations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn

from training.networks.backbones import Backbone
from training.networks.layers import Convolution


class WeightsRefused(ValueError):
    """The weights do not fit the network, or cannot be read."""


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """A convolution with its batch normalisation folded in: weight * x + bias."""

    weight: Tensor
    bias: Tensor


def load_folded_backbone(backbone: Backbone, path: Path, pixels: Tensor) -> None:
    """Loads an .npz archive of folded weights (stem, block01.depthwise, ...).

    pixels: uint8 [N, H, W, 3], a few dozen real photos.
    Raises WeightsRefused if the archive is of another backbone.
    """
    arrays = _read_archive(path)
    layers = {}
    for name, layer in convolutions(backbone).items():
        key = _archive_name(name)
        weight, bias = (arrays.get(f"{key}.{part}") for part in ("weight", "bias"))
        if weight is None or bias is None or weight.shape != layer.conv.weight.shape:
            raise WeightsRefused(
                f"{path} has no {key}.weight of {list(layer.conv.weight.shape)} with its bias: "
                "set the recipe's backbone and width accordingly, or use another --init"
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


def _archive_name(name: str) -> str:
    """
    >>> _archive_name("blocks.0"), _archive_name("blocks.7.expand")
    ('stem', 'block07.expand')
    """
    _, number, *layer = name.split(".")
    return f"block{int(number):02d}.{layer[0]}" if layer else "stem"


def convolutions(network: nn.Module) -> dict[str, Convolution]:
    """The network's `Convolution` modules by name, in order."""
    return {name: module for name, module in network.named_modules() if isinstance(module, Convolution)}


def unfold(network: nn.Module, layers: Mapping[str, Folded], run: Callable[[], object]) -> None:
    """Gives the named convolutions the function of folded ones, with usable batch normalisations.

    A folded layer computes z + bias with z = weight * x. Its normalisation gets the mean and variance of z as
    its statistics, and the weight and bias that undo them, while `run` computes the network on real photos.
    Evaluation mode and training mode, which uses the batch's statistics, then compute nearly the same.
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
