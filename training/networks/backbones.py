"""The backbones without their classifiers: blocks in a row, whose features a neck takes at several strides.

| backbone | source | features at strides |
|---|---|---|
| MobileNetV1 | Howard et al., 2017, table 1 | 4, 8, 16, 32 |
| MobileNetV2 | Sandler et al., 2018, table 2 | 4, 8, 16, 32 |
| EfficientNet-Lite B0 to B4 | Tan and Le, 2019, table 1; the Lite variant of 2020 | 4, 8, 16, 32 |
| ResNet-18*, ResNet-18** | He et al., 2015; BlitzMask, sec. 4.1 and 4.2 | 4, 8, 16 and 4, 8 |

EfficientNet-Lite has ReLU6, no squeeze-and-excitation, and a stem and head that are not scaled. The depth of
the first and last row is not scaled either, as in the authors' code and their published parameter counts. The
ResNets have no max-pool, so that every layer has half its usual stride. ResNet-18** also has a stem of stride
1.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from types import MappingProxyType

import torch.nn.functional as F
from torch import Tensor, nn

from training.networks.layers import Convolution


class Backbone(nn.Module):
    """Blocks in a row; the outputs of the blocks in `taps` are the features, the finest first.

    channels: of each feature. The finest feature has stride 4; each next one has twice the stride.
    """

    def __init__(
        self, blocks: Sequence[nn.Module], *, taps: tuple[int, ...], channels: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.taps = taps
        self.channels = channels

    def forward(self, image: Tensor) -> list[Tensor]:
        """The features, finest first; image: float [N, 3, H, W]."""
        features, tapped = image, []
        for number, block in enumerate(self.blocks):
            features = block(features)
            if number in self.taps:
                tapped.append(features)
        return tapped


def round_channels(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, or the next one if that is more than 10 % lower.

    >>> round_channels(24), round_channels(10.8), round_channels(17.6)
    (24, 16, 16)
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a paper's table of inverted residuals; stride: of the first repeat."""

    expansion: int
    channels: int
    repeats: int
    stride: int
    kernel: int = 3


class InvertedResidual(nn.Module):
    """1x1 expansion, k x k depthwise convolution, linear 1x1 projection; a shortcut if the shapes match."""

    def __init__(
        self, channels_in: int, channels_out: int, *, stride: int, expansion: int, kernel: int = 3
    ) -> None:
        super().__init__()
        hidden = channels_in * expansion
        self.expand = Convolution(channels_in, hidden) if expansion > 1 else nn.Identity()
        self.depthwise = Convolution(hidden, hidden, kernel=kernel, stride=stride, groups=hidden)
        self.project = Convolution(hidden, channels_out, activation=nn.Identity)
        self.shortcut = stride == 1 and channels_in == channels_out

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.project(self.depthwise(self.expand(features)))
        return features + output if self.shortcut else output


def stack_rows(rows: Sequence[Row], *, stem: int) -> Backbone:
    """A stride-2 stem of `stem` channels and the rows' blocks, with features at strides 4, 8, 16 and 32."""
    blocks: list[nn.Module] = [Convolution(3, stem, kernel=3, stride=2)]
    taps: list[int] = []
    channels = [stem]
    reached = 2
    for row in rows:
        if row.stride == 2 and reached >= 4:
            taps.append(len(blocks) - 1)
        reached *= row.stride
        for repeat in range(row.repeats):
            stride = row.stride if repeat == 0 else 1
            block = InvertedResidual(
                channels[-1], row.channels, stride=stride, expansion=row.expansion, kernel=row.kernel
            )
            blocks.append(block)
            channels.append(row.channels)
    taps.append(len(blocks) - 1)
    return Backbone(blocks, taps=tuple(taps), channels=tuple(channels[tap] for tap in taps))


V1_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)  # of the separable convolutions
V1_CHANNELS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
V1_TAPS = (3, 5, 11, 13)  # the last block of each stride; block 0 is the stem

V2_ROWS = (  # table 2 of the paper
    Row(expansion=1, channels=16, repeats=1, stride=1),
    Row(expansion=6, channels=24, repeats=2, stride=2),
    Row(expansion=6, channels=32, repeats=3, stride=2),
    Row(expansion=6, channels=64, repeats=4, stride=2),
    Row(expansion=6, channels=96, repeats=3, stride=1),
    Row(expansion=6, channels=160, repeats=3, stride=2),
    Row(expansion=6, channels=320, repeats=1, stride=1),
)


def mobilenet_v1(width: float = 1.0) -> Backbone:
    """MobileNetV1 up to its last feature map; width: a factor of all channels."""
    channels = [round_channels(32 * width)]
    blocks: list[nn.Module] = [Convolution(3, channels[0], kernel=3, stride=2)]
    for stride, base in zip(V1_STRIDES, V1_CHANNELS, strict=True):
        entering, leaving = channels[-1], round_channels(base * width)
        depthwise = Convolution(entering, entering, kernel=3, stride=stride, groups=entering)
        blocks.append(nn.Sequential(depthwise, Convolution(entering, leaving)))
        channels.append(leaving)
    return Backbone(blocks, taps=V1_TAPS, channels=tuple(channels[tap] for tap in V1_TAPS))


def mobilenet_v2(width: float = 1.0) -> Backbone:
    """MobileNetV2 up to its last feature map; width: a factor of all channels."""
    rows = [replace(row, channels=round_channels(row.channels * width)) for row in V2_ROWS]
    return stack_rows(rows, stem=round_channels(32 * width))


STEM = 32
B0_ROWS = (  # table 1 of the paper
    Row(expansion=1, channels=16, repeats=1, stride=1),
    Row(expansion=6, channels=24, repeats=2, stride=2),
    Row(expansion=6, channels=40, repeats=2, stride=2, kernel=5),
    Row(expansion=6, channels=80, repeats=3, stride=2),
    Row(expansion=6, channels=112, repeats=3, stride=1, kernel=5),
    Row(expansion=6, channels=192, repeats=4, stride=2, kernel=5),
    Row(expansion=6, channels=320, repeats=1, stride=1),
)


def efficientnet_lite(width: float = 1.0, *, scale: float, depth: float) -> Backbone:
    """EfficientNet-Lite up to its last feature map.

    scale, depth: the variant's multipliers of channels and repeats. width: an additional factor of all
    channels, also of the stem's.
    """
    rows = [
        replace(row, channels=round_channels(row.channels * scale * width), repeats=_deepen(number, depth))
        for number, row in enumerate(B0_ROWS)
    ]
    return stack_rows(rows, stem=round_channels(STEM * width))


def _deepen(number: int, depth: float) -> int:
    repeats = B0_ROWS[number].repeats
    scaled = 0 < number < len(B0_ROWS) - 1
    return math.ceil(repeats * depth) if scaled else repeats


LITE: Mapping[str, Callable[[float], Backbone]] = MappingProxyType(
    {
        "efficientnet_lite_b0": partial(efficientnet_lite, scale=1.0, depth=1.0),
        "efficientnet_lite_b1": partial(efficientnet_lite, scale=1.0, depth=1.1),
        "efficientnet_lite_b2": partial(efficientnet_lite, scale=1.1, depth=1.2),
        "efficientnet_lite_b3": partial(efficientnet_lite, scale=1.2, depth=1.4),
        "efficientnet_lite_b4": partial(efficientnet_lite, scale=1.4, depth=1.8),
    }
)


LAYERS = (64, 128, 256, 512)
REPEATS = 2


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution if the shapes differ."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int) -> None:
        super().__init__()
        self.first = Convolution(channels_in, channels_out, kernel=3, stride=stride, activation=nn.ReLU)
        self.second = Convolution(channels_out, channels_out, kernel=3, activation=nn.Identity)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and channels_in == channels_out
            else Convolution(channels_in, channels_out, stride=stride, activation=nn.Identity)
        )

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(self.second(self.first(features)) + self.shortcut(features))


def resnet18_star(width: float = 1.0) -> Backbone:
    """ResNet-18*: no max-pool; features at strides 4, 8 and 16."""
    stem = Convolution(3, round_channels(64 * width), kernel=7, stride=2, activation=nn.ReLU)
    return _stack_layers(stem, width, taps=(4, 6, 8))


def resnet18_two_stars(width: float = 1.0) -> Backbone:
    """ResNet-18**: no max-pool, a 3x3 stem of stride 1, half the channels; features at strides 4 and 8."""
    stem = Convolution(3, round_channels(32 * width), kernel=3, activation=nn.ReLU)
    return _stack_layers(stem, width / 2, taps=(6, 8))


def _stack_layers(stem: Convolution, width: float, *, taps: tuple[int, ...]) -> Backbone:
    channels = [stem.conv.out_channels]
    for layer in LAYERS:
        channels += [round_channels(layer * width)] * REPEATS
    blocks = [
        BasicBlock(entering, leaving, stride=2 if number in (2, 4, 6) else 1)
        for number, (entering, leaving) in enumerate(pairwise(channels))
    ]
    return Backbone([stem, *blocks], taps=taps, channels=tuple(channels[tap] for tap in taps))
