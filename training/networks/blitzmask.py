"""BlitzMask: CenterNet with an FPN neck and a mask basis per image (BlitzMask, sec. 3.1)."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

from training.networks.backbones import (
    LITE,
    Backbone,
    mobilenet_v1,
    mobilenet_v2,
    resnet18_star,
    resnet18_two_stars,
)
from training.networks.layers import initialise, separable, upsample

STRIDE = 4
SIZE_UNIT = 16.0  # canvas pixels; the size head predicts multiples of it, so that its weights stay near 1
BACKBONES: Mapping[str, Callable[[float], Backbone]] = MappingProxyType(
    {
        "mobilenet_v1": mobilenet_v1,
        "mobilenet_v2": mobilenet_v2,
        **LITE,
        "resnet18_star": resnet18_star,
        "resnet18_two_stars": resnet18_two_stars,
    }
)


@dataclass(frozen=True, slots=True)
class Architecture:
    """The options that determine the shapes of a network's weights."""

    title: ClassVar[str] = "BlitzMask"
    network: ClassVar[str] = "blitzmask"  # no field: checkpoints of earlier versions do not have it
    classes: int
    backbone: str = "mobilenet_v2"
    width: float = 1.0
    neck_channels: int = 128
    coefficients: int = 32
    masks: bool = True

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise ValueError(f"there is no backbone {self.backbone!r}; there are {', '.join(BACKBONES)}")

    def head_channels(self) -> dict[str, int]:
        """The channels of each head, in the order of the outputs."""
        boxes = {"heatmap": self.classes, "size": 4}
        if not self.masks:
            return boxes
        return boxes | {"coefficients": self.coefficients, "spanning_set": self.coefficients}


class Neck(nn.Module):
    """P_i = separable(C_i) + up2(P_{i+1}), down to stride 4, then one more separable convolution."""

    def __init__(self, channels_in: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(separable(count, channels) for count in channels_in)
        self.last = separable(channels, channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        *finer, coarsest = [layer(level) for layer, level in zip(self.lateral, features, strict=True)]
        merged = coarsest
        for level in reversed(finer):
            merged = level + upsample(merged)
        output: Tensor = self.last(merged)
        return output


class BlitzMask(nn.Module):
    """uint8 [N, H, W, 3] RGB, H and W multiples of 32, to the float32 heads [N, H/4, W/4, channels]."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.backbone = BACKBONES[architecture.backbone](architecture.width)
        self.neck = Neck(self.backbone.channels, architecture.neck_channels)
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(
                    separable(architecture.neck_channels, architecture.neck_channels),
                    nn.Conv2d(architecture.neck_channels, channels, 1),
                )
                for name, channels in architecture.head_channels().items()
            }
        )
        initialise(self)
        self._initialise_heads()

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """The heads by name, in the artifact contract's units: the heatmap holds scores, sizes are pixels."""
        features = self.neck(self.backbone(normalise(pixels).permute(0, 3, 1, 2)))
        outputs = {name: head(features).permute(0, 2, 3, 1).float() for name, head in self.heads.items()}
        outputs["heatmap"] = outputs["heatmap"].sigmoid()
        outputs["size"] = outputs["size"] * SIZE_UNIT
        return outputs

    def _initialise_heads(self) -> None:
        """Biases for rare objects (score 0.01, as in CenterNet) of medium size."""
        with torch.no_grad():
            _bias(self.heads["heatmap"]).fill_(-math.log((1 - 0.01) / 0.01))
            _bias(self.heads["size"]).fill_(2.0)


def normalise(pixels: Tensor) -> Tensor:
    """The pixels as float32 in [-1, 1]."""
    return pixels.float() * (1 / 127.5) - 1


def _bias(head: nn.Module) -> nn.Parameter:
    assert isinstance(head, nn.Sequential)
    bias = head[-1].bias
    assert isinstance(bias, nn.Parameter)
    return bias
