"""Starting from weights whose batch normalisation was folded into the convolutions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn

from training.networks.backbone import Backbone
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
