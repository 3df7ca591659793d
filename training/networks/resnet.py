"""The two ResNet-18 (He et al., 2015) of BlitzMask's paper, which do without the max-pool (sec. 4.1, 4.2).

Without it every layer works at half its usual stride, so that stride 4 is reached by the second layer only:
the features are as many as the network then has, at strides 4, 8 and 16 for ResNet-18*, 4 and 8 for
ResNet-18**, which has no stride-2 stem either.
"""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from training.networks.backbone import Backbone, round_channels
from training.networks.layers import Convolution

LAYERS = (64, 128, 256, 512)
REPEATS = 2


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, a 1x1 convolution where shapes differ."""

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
