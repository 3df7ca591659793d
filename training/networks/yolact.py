"""YOLACT (Bolya et al., 2019), and mobileYOLACT (Lee, Lee and Ko, ICTC 2021), which is YOLACT for phones.

mobileYOLACT's abstract names four changes; its text is not public. Here they are:

| change | place |
|---|---|
| a light backbone that is quantised | `mobile_yolact`: MobileNetV2; `python -m training quantize` |
| depthwise separable convolutions in the whole network | `YolactArchitecture.separable`: `_block` |
| a simpler prototype branch | `make_prototype_branch`: one block and one upsampling, not four and one |
| TorchScript and NCNN files | `export --torchscript FILE --runtimes ncnn` |

Our anchors have the paper's ratios 1, 1/2 and 2. The authors' code, by an error that it documents, gives each
anchor the height of its width; only their published weights need that.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from service.types import Size
from training.networks.backbones import Backbone
from training.networks.blitzmask import BACKBONES, normalise
from training.networks.layers import initialise, separable, upsample
from training.networks.resnet import RESNETS, normalise_imagenet

SCALES = (24, 48, 96, 192, 384)  # sides of the anchors on P3 to P7, in pixels of a canvas of PAPER_SIDE
PAPER_SIDE = 550
RATIOS = (1.0, 0.5, 2.0)  # width to height
HEADS = ("loc", "conf", "mask", "priors", "proto")
YOLACT_BACKBONES: Mapping[str, Callable[[float], Backbone]] = MappingProxyType(
    {name: make for name, make in BACKBONES.items() if not name.startswith("resnet18")} | dict(RESNETS)
)


@dataclass(frozen=True, slots=True)
class YolactArchitecture:
    """The options that determine the shapes of a network's weights.

    p6_from: the features from which P6 is made: P5 in the authors' code (31.16 M parameters with ResNet-50),
        C5 in mmdetection's (35.29 M, as in the table of Vo et al.).
    separable: depthwise separable convolutions and the simpler prototype branch of mobileYOLACT.
    """

    classes: int
    backbone: str = "resnet50"
    width: float = 1.0
    neck_channels: int = 256
    prototypes: int = 32
    p6_from: Literal["P5", "C5"] = "P5"
    separable: bool = False
    network: Literal["yolact"] = "yolact"

    def __post_init__(self) -> None:
        if self.backbone not in YOLACT_BACKBONES:
            raise ValueError(
                f"YOLACT has no backbone {self.backbone!r}; it has {', '.join(YOLACT_BACKBONES)}"
            )

    @property
    def title(self) -> str:
        return "mobileYOLACT" if self.separable else "YOLACT"


def mobile_yolact(classes: int) -> YolactArchitecture:
    """mobileYOLACT, with YOLACT's anchors, channels and prototypes where the abstract is silent."""
    return YolactArchitecture(classes, backbone="mobilenet_v2", separable=True)


class Pyramid(nn.Module):
    """P3 to P7 from C3 to C5 (YOLACT, sec. 3; Lin et al., 2017): float [N, channels, h, w] each."""

    def __init__(self, channels_in: Sequence[int], architecture: YolactArchitecture) -> None:
        super().__init__()
        channels = architecture.neck_channels
        self.is_p6_from_c5 = architecture.p6_from == "C5"
        self.lateral = nn.ModuleList(nn.Conv2d(count, channels, 1) for count in channels_in)
        self.output = nn.ModuleList(_block(channels, channels, architecture) for _ in channels_in)
        p6_channels = channels_in[-1] if self.is_p6_from_c5 else channels
        self.coarser = nn.ModuleList(
            _convolution(count, channels, architecture, stride=2) for count in (p6_channels, channels)
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        *finer, merged = [layer(level) for layer, level in zip(self.lateral, features, strict=True)]
        levels = [merged]
        for level in reversed(finer):
            merged = level + F.interpolate(merged, level.shape[2:], mode="bilinear", align_corners=False)
            levels.insert(0, merged)
        levels = [layer(level) for layer, level in zip(self.output, levels, strict=True)]
        coarse = features[-1] if self.is_p6_from_c5 else levels[-1]
        for layer in self.coarser:
            coarse = layer(coarse)
            levels.append(coarse)
        return levels


class Yolact(nn.Module):
    """uint8 [N, H, W, 3] RGB to the heads of the service's decoder `prototypes`, all float32.

    loc [N, A, 4], conf [N, A, 1 + classes], mask [N, A, K], priors [N, A, 4], proto [N, H/4, W/4, K] for A
    anchors in the order level, row, column, ratio. In training, `conf` holds logits, and `semantic` [N, H/8,
    W/8, classes] is there, too; else `conf` holds probabilities.
    """

    def __init__(self, architecture: YolactArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        channels = architecture.neck_channels
        self.normalise = normalise_imagenet if architecture.backbone in RESNETS else normalise
        self.backbone = YOLACT_BACKBONES[architecture.backbone](architecture.width)
        self.neck = Pyramid(self.backbone.channels[-3:], architecture)
        self.prototype = make_prototype_branch(architecture)
        self.shared = nn.Sequential(_convolution(channels, channels, architecture), nn.ReLU())
        values = {"loc": 4, "conf": 1 + architecture.classes, "mask": architecture.prototypes}
        self.heads = nn.ModuleDict(
            {
                name: _convolution(channels, count * len(RATIOS), architecture)
                for name, count in values.items()
            }
        )
        self.semantic = nn.Conv2d(channels, architecture.classes, 1)
        self._initialise()

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        levels = self.neck(self.backbone(self.normalise(pixels).permute(0, 3, 1, 2))[-3:])
        shared = [self.shared(level) for level in levels]
        heads = {name: self._predict(name, shared) for name in self.heads}
        heads["mask"] = heads["mask"].tanh()
        priors = draw_priors([Size(*level.shape[2:]) for level in levels], Size(*pixels.shape[1:3]))
        heads["priors"] = priors.to(pixels.device).expand(pixels.shape[0], -1, -1)
        heads["proto"] = self.prototype(levels[0]).permute(0, 2, 3, 1).float()
        if self.training:
            return heads | {"semantic": self.semantic(levels[0]).permute(0, 2, 3, 1).float()}
        return heads | {"conf": heads["conf"].softmax(dim=2)}

    def _predict(self, name: str, levels: Sequence[Tensor]) -> Tensor:
        """A head's values at all anchors: float32 [N, A, values]."""
        maps = [self.heads[name](level).permute(0, 2, 3, 1) for level in levels]
        count = maps[0].shape[3] // len(RATIOS)
        return torch.cat([each.flatten(1).unflatten(1, (-1, count)) for each in maps], dim=1).float()

    def _initialise(self) -> None:
        """Draws the weights of the layers with a bias as the authors do (Glorot and Bengio, 2010).

        Depthwise filters keep the variance of their input instead: Glorot's rule would count all channels.
        """
        initialise(self)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.xavier_uniform_(module.weight)
                if module.groups > 1:
                    nn.init.normal_(module.weight, std=1 / math.sqrt(math.prod(module.kernel_size)))
                nn.init.zeros_(module.bias)


def make_prototype_branch(architecture: YolactArchitecture) -> nn.Sequential:
    """P3 to prototypes at stride 4, which are not negative: float [N, K, H/4, W/4]."""
    channels = architecture.neck_channels
    before, after = (1, 0) if architecture.separable else (3, 1)
    return nn.Sequential(
        *(_block(channels, channels, architecture) for _ in range(before)),
        Upsampling(),
        *(_block(channels, channels, architecture) for _ in range(after)),
        nn.Conv2d(channels, architecture.prototypes, 1),
        nn.ReLU(),
    )


class Upsampling(nn.Module):
    """Bilinear x2."""

    def forward(self, features: Tensor) -> Tensor:
        return upsample(features)


def _block(channels_in: int, channels_out: int, architecture: YolactArchitecture) -> nn.Module:
    """A 3x3 convolution with its activation."""
    if architecture.separable:
        return separable(channels_in, channels_out)
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.ReLU())


def _convolution(
    channels_in: int, channels_out: int, architecture: YolactArchitecture, *, stride: int = 1
) -> nn.Module:
    """A 3x3 convolution without an activation after it.

    It has no batch normalisation: the levels share most of these layers, but not their statistics.
    """
    if not architecture.separable:
        return nn.Conv2d(channels_in, channels_out, 3, stride, padding=1)
    depthwise = nn.Conv2d(channels_in, channels_in, 3, stride, padding=1, groups=channels_in)
    return nn.Sequential(depthwise, nn.Conv2d(channels_in, channels_out, 1))


def draw_priors(levels: Sequence[Size], canvas: Size) -> Tensor:
    """The anchors (centre x, centre y, width, height) in parts of the canvas: float32 [A, 4].

    A scale is one of a 550-pixel canvas. It is multiplied by the shorter side over 550 and rounded down, as
    in the authors' models for 400 and 700 pixels.

    >>> draw_priors([Size(1, 2)], Size(550, 1100))[0].tolist() == [0.25, 0.5, float(torch.tensor(24 / 1100)),
    ...     float(torch.tensor(24 / 550))]
    True
    """
    parts = []
    for level, scale in zip(levels, SCALES, strict=False):
        side = max(1, math.floor(scale * min(canvas.height, canvas.width) / PAPER_SIDE))
        y = (torch.arange(level.height) + 0.5) / level.height
        x = (torch.arange(level.width) + 0.5) / level.width
        ratio = torch.tensor(RATIOS)
        rows, columns, ratios = torch.meshgrid(y, x, ratio, indexing="ij")
        sides = (side * ratios.sqrt() / canvas.width, side / ratios.sqrt() / canvas.height)
        parts.append(torch.stack([columns, rows, *sides], dim=3).reshape(-1, 4))
    return torch.cat(parts)
