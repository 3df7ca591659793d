"""ResNet-50 and ResNet-101 (He et al., 2015, table 1), and the names of torchvision's weights for them.

The 3x3 convolution of a block has the stride, as in torchvision, and every convolution pads both sides alike.
torchvision's weights are then valid without any change, for pixels that `normalise_imagenet` gives.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.networks.backbones import Backbone, round_channels

EXPANSION = 4  # a block's output has this many times the channels of its 3x3 convolution
CHANNELS = (64, 128, 256, 512)  # of the 3x3 convolutions at strides 4, 8, 16 and 32
MEAN = (123.675, 116.28, 103.53)  # of ImageNet's pixels: red, green, blue in 0..255
STD = (58.395, 57.12, 57.375)


class PaddedConvolution(nn.Module):
    """k x k convolution, padded alike on each side, batch normalisation and activation."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)
        self.activation = activation()
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.activation(self.norm(self.conv(features)))
        return output


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, and a shortcut, which is a 1x1 convolution if the shapes differ."""

    def __init__(self, channels_in: int, channels: int, *, stride: int) -> None:
        super().__init__()
        channels_out = channels * EXPANSION
        self.reduce = PaddedConvolution(channels_in, channels)
        self.spatial = PaddedConvolution(channels, channels, kernel=3, stride=stride)
        self.expand = PaddedConvolution(channels, channels_out, activation=nn.Identity)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and channels_in == channels_out
            else PaddedConvolution(channels_in, channels_out, stride=stride, activation=nn.Identity)
        )

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(self.expand(self.spatial(self.reduce(features))) + self.shortcut(features))


def resnet(width: float = 1.0, *, repeats: tuple[int, int, int, int]) -> Backbone:
    """A ResNet of bottlenecks, with features C2 to C5 at strides 4, 8, 16 and 32.

    width: a factor of all channels. repeats: the blocks at each stride.
    """
    stem = round_channels(64 * width)
    first = PaddedConvolution(3, stem, kernel=7, stride=2)
    blocks: list[nn.Module] = [nn.Sequential(first, nn.MaxPool2d(3, stride=2, padding=1))]
    taps, channels, entering = [], [], stem
    for level, (base, count) in enumerate(zip(CHANNELS, repeats, strict=True)):
        own = round_channels(base * width)
        for number in range(count):
            blocks.append(Bottleneck(entering, own, stride=2 if level and number == 0 else 1))
            entering = own * EXPANSION
        taps.append(len(blocks) - 1)
        channels.append(entering)
    return Backbone(blocks, taps=tuple(taps), channels=tuple(channels))


REPEATS: Mapping[str, tuple[int, int, int, int]] = MappingProxyType(
    {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
)
RESNETS: Mapping[str, Callable[[float], Backbone]] = MappingProxyType(
    {name: partial(resnet, repeats=repeats) for name, repeats in REPEATS.items()}
)


def normalise_imagenet(pixels: Tensor) -> Tensor:
    """The pixels minus ImageNet's mean, over its standard deviation: float32 [N, H, W, 3]."""
    std = torch.tensor(STD, device=pixels.device)
    mean = torch.tensor(MEAN, device=pixels.device)
    return pixels.float() * (1 / std) - mean / std


LAYER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "conv1": "reduce.conv",
        "bn1": "reduce.norm",
        "conv2": "spatial.conv",
        "bn2": "spatial.norm",
        "conv3": "expand.conv",
        "bn3": "expand.norm",
        "downsample.0": "shortcut.conv",
        "downsample.1": "shortcut.norm",
    }
)


def convert_torchvision_state(theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of our backbone from that of torchvision's `resnet50` or `resnet101`, without the classifier.

    Raises KeyError for a name that torchvision's ResNets do not have.
    """
    counts = [len({key.split(".")[1] for key in theirs if key.startswith(f"layer{n}.")}) for n in range(1, 5)]
    starts = {f"layer{number + 1}": 1 + sum(counts[:number]) for number in range(4)}
    return {_convert_name(key, starts): value for key, value in theirs.items() if not key.startswith("fc.")}


def _convert_name(key: str, starts: Mapping[str, int]) -> str:
    """
    >>> _convert_name("layer2.0.downsample.1.bias", {"layer2": 4})
    'blocks.4.shortcut.norm.bias'
    """
    layer, _, kind = key.rpartition(".")
    if layer in ("conv1", "bn1"):
        return f"blocks.0.0.{'conv' if layer == 'conv1' else 'norm'}.{kind}"
    group, number, name = layer.split(".", 2)
    return f"blocks.{starts[group] + int(number)}.{LAYER_NAMES[name]}.{kind}"
