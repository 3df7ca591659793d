"""MobileNetV1 (Howard et al., 2017) and MobileNetV2 (Sandler et al., 2018) without their classifiers."""

from dataclasses import replace

from torch import nn

from training.networks.backbone import Backbone, round_channels
from training.networks.inverted import Row, stack_rows
from training.networks.layers import Convolution

V1_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)  # of the separable convolutions: table 1 of the paper
V1_CHANNELS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
V1_TAPS = (3, 5, 11, 13)  # blocks after which the stride is about to grow; block 0 is the stem

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
    """MobileNetV1 up to its last feature map; `width` scales every layer's channels."""
    channels = [round_channels(32 * width)]
    blocks: list[nn.Module] = [Convolution(3, channels[0], kernel=3, stride=2)]
    for stride, base in zip(V1_STRIDES, V1_CHANNELS, strict=True):
        entering, leaving = channels[-1], round_channels(base * width)
        depthwise = Convolution(entering, entering, kernel=3, stride=stride, groups=entering)
        blocks.append(nn.Sequential(depthwise, Convolution(entering, leaving)))
        channels.append(leaving)
    return Backbone(blocks, taps=V1_TAPS, channels=tuple(channels[tap] for tap in V1_TAPS))


def mobilenet_v2(width: float = 1.0) -> Backbone:
    """MobileNetV2 up to its last feature map; `width` scales every layer's channels."""
    rows = [replace(row, channels=round_channels(row.channels * width)) for row in V2_ROWS]
    return stack_rows(rows, stem=round_channels(32 * width))
