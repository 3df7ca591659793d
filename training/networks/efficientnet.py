"""EfficientNet-Lite B0 to B4 (Tan and Le, 2019; the Lite variant of 2020) without their classifiers.

Lite means ReLU6, no squeeze-and-excitation, and a stem and head that are not scaled. The depth of the first
and the last row is not scaled either, as in the authors' code, which the published parameter counts confirm.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from training.networks.backbone import Backbone, round_channels
from training.networks.inverted import Row, stack_rows

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

    scale, depth: the variant's own multipliers of channels and repeats. width: a further factor on all
    channels, the stem's too.
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
