"""CSR + D2S: instance kernels from reweighted and fused features (Vo, Tran, Nguyen and Jo).

The paper leaves parts open, and its table III gives only parameters. Our reading of them:

| part | reading |
|---|---|
| W1, W2 of eq. 1 | 1-D convolutions that slide along the channels: matrices would add millions at 1024 |
| kernels | 100 learnt ones, one update stage of K-Net (Zhang et al., 2021, sec. 3.2) without its 1x1 |
| pyramid | 1x1 laterals of C3, C4 and C5; no FPN |

| CSR channels | 128 | 256 | 512 | 1024 |
|---|---|---|---|---|
| table III, M | 31.63 | 32.13 | 33.34 | 34.88 |
| here, M | 31.66 | 32.12 | 33.04 | 34.88 |

The 512 of table III does not lie on the line through its other three values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.networks.resnet import RESNETS, PaddedConvolution, normalise_imagenet

ATTENTION_HEADS = 8
HIDDEN = 8  # the feed-forward layer has this many times the channels of a kernel
SPAN = 3  # neighbouring channels that a 1-D convolution of CSR sees
GROUPS = 32  # of the group normalisations
CSR_HEADS = ("scores", "masks")


@dataclass(frozen=True, slots=True)
class CsrArchitecture:
    """The options that determine the shapes of a network's weights.

    csr_channels: of the pooled features in CSR. channels: of all other features and of the kernels.
    kernels: the most instances of a picture.
    """

    title: ClassVar[str] = "CSR + D2S"
    classes: int
    backbone: str = "resnet50"
    width: float = 1.0
    csr_channels: int = 256
    channels: int = 256
    kernels: int = 100
    network: Literal["csr"] = "csr"

    def __post_init__(self) -> None:
        if self.backbone not in RESNETS:
            raise ValueError(f"CSR + D2S has no backbone {self.backbone!r}; it has {', '.join(RESNETS)}")
        if self.channels % GROUPS:
            raise ValueError(f"channels is {self.channels}, but must be a multiple of {GROUPS}")


class CrossScaleReweighting(nn.Module):
    """A factor in [0, 1] for each channel of C5, from the means of C3, C4 and C5 (eq. 1 to 5)."""

    def __init__(self, channels_in: Sequence[int], csr_channels: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.reduce = nn.ModuleList(nn.Linear(count, csr_channels, bias=False) for count in channels_in)
        self.merge = nn.Conv1d(len(channels_in), 1, SPAN, padding=SPAN // 2)  # W2: the scales to one row
        self.mix = nn.Conv1d(1, 1, SPAN, padding=SPAN // 2)  # W1

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """float [N, channels, 1, 1]; features: C3 to C5."""
        pooled = [
            layer(level.mean(dim=(2, 3))) for layer, level in zip(self.reduce, features, strict=True)
        ]  # eq. 3 and 4
        weights = self.mix(self.merge(torch.stack(pooled, dim=1)))  # [N, 1, csr_channels], eq. 1 and 2
        if weights.shape[2] != self.channels:
            weights = F.interpolate(weights, self.channels, mode="linear", align_corners=False)
        factors: Tensor = weights.sigmoid().permute(0, 2, 1)[..., None]
        return factors


class DepthToSpace(nn.Module):
    """Twice the height and width: a pixel shuffle, then a 3x3 depthwise separable convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        shuffled = channels // 4
        self.depthwise = nn.Conv2d(shuffled, shuffled, 3, padding=1, groups=shuffled, bias=False)
        self.norm = nn.BatchNorm2d(shuffled)
        self.pointwise = PaddedConvolution(shuffled, channels)

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.pointwise(self.norm(self.depthwise(F.pixel_shuffle(features, 2))))
        return output


class KernelUpdater(nn.Module):
    """Kernels merged with the features of their masks, each through a gate (K-Net, eq. 4 to 6)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.from_features = nn.Linear(channels, 2 * channels)
        self.from_kernels = nn.Linear(channels, 2 * channels)
        self.feature_gate = nn.Sequential(nn.Linear(channels, channels), nn.LayerNorm(channels))
        self.kernel_gate = nn.Sequential(nn.Linear(channels, channels), nn.LayerNorm(channels))
        self.feature_norm = nn.LayerNorm(channels)
        self.kernel_norm = nn.LayerNorm(channels)
        self.output = nn.Sequential(nn.Linear(channels, channels), nn.LayerNorm(channels), nn.ReLU())

    def forward(self, kernels: Tensor, features: Tensor) -> Tensor:
        """float [N, Q, channels] of kernels and features of the same shape."""
        feature_in, feature_out = self.from_features(features).chunk(2, dim=2)
        kernel_in, kernel_out = self.from_kernels(kernels).chunk(2, dim=2)
        both = feature_in * kernel_in
        kept = self.feature_gate(both).sigmoid() * self.feature_norm(feature_out)
        output: Tensor = self.output(kept + self.kernel_gate(both).sigmoid() * self.kernel_norm(kernel_out))
        return output


class UpdateStage(nn.Module):
    """A kernel update stage of K-Net: class logits [N, Q, classes] and kernels [N, Q, channels]."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.update = KernelUpdater(channels)
        self.attention_in = nn.Linear(channels, 3 * channels)
        self.attention_out = nn.Linear(channels, channels)
        self.attention_norm = nn.LayerNorm(channels)
        hidden = HIDDEN * channels
        self.feed = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))
        self.feed_norm = nn.LayerNorm(channels)
        self.classify = nn.Sequential(_layer(channels), nn.Linear(channels, classes))
        self.predict = nn.Sequential(_layer(channels), nn.Linear(channels, channels))

    def forward(self, kernels: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        kernels = self.update(kernels, features)
        kernels = self.attention_norm(kernels + self._attend(kernels))
        kernels = self.feed_norm(kernels + self.feed(kernels))
        return self.classify(kernels), self.predict(kernels)

    def _attend(self, kernels: Tensor) -> Tensor:
        """Self-attention of the kernels of one picture: float [N, Q, channels]."""
        parts = self.attention_in(kernels).chunk(3, dim=2)  # not five axes at once: NCNN has four
        heads = [part.unflatten(2, (ATTENTION_HEADS, -1)).transpose(1, 2) for part in parts]
        mixed = F.scaled_dot_product_attention(*heads)  # [N, heads, Q, channels of a head]
        output: Tensor = self.attention_out(mixed.transpose(1, 2).flatten(2))
        return output


class Csr(nn.Module):
    """uint8 [N, H, W, 3] RGB to the heads of the service's decoder `queries`, all float32 logits.

    scores [N, Q, classes], masks [N, Q, H/8, W/8].
    """

    def __init__(self, architecture: CsrArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        channels = architecture.channels
        self.backbone = RESNETS[architecture.backbone](architecture.width)
        channels_in = self.backbone.channels[-3:]
        self.lateral = nn.ModuleList(nn.Conv2d(count, channels, 1, bias=False) for count in channels_in)
        self.reweighting = CrossScaleReweighting(channels_in, architecture.csr_channels, channels)
        self.enlarge = nn.ModuleList(DepthToSpace(channels) for _ in range(2))
        self.instance_branch = _make_branch(channels)
        self.mask_branch = _make_branch(channels)
        self.kernels = nn.Parameter(torch.randn(architecture.kernels, channels) * 0.01)
        self.stage = UpdateStage(channels, architecture.classes)
        last = self.stage.classify[-1]
        assert isinstance(last, nn.Linear)
        nn.init.constant_(last.bias, -4.6)  # a score of 0.01, as objects are rare

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        features = self.backbone(normalise_imagenet(pixels).permute(0, 3, 1, 2))[-3:]
        c3, c4, c5 = [layer(level) for layer, level in zip(self.lateral, features, strict=True)]
        merged = c4 + self.enlarge[0](self.reweighting(features) * c5)
        merged = c3 + self.enlarge[1](merged)
        instance_features, mask_features = self.instance_branch(merged), self.mask_branch(merged)
        kernels = self.kernels.expand(pixels.shape[0], -1, -1)
        gathered = gather_features(apply_kernels(kernels, mask_features), instance_features)
        scores, kernels = self.stage(kernels + gathered, gathered)
        return {"scores": scores.float(), "masks": apply_kernels(kernels, mask_features).float()}


def apply_kernels(kernels: Tensor, features: Tensor) -> Tensor:
    """The mask logits of 1x1 convolutions: float [N, Q, h, w] of [N, Q, E] and [N, E, h, w]."""
    logits = torch.matmul(kernels, features.flatten(2))
    return logits.reshape(*logits.shape[:2], *features.shape[2:])


def gather_features(logits: Tensor, features: Tensor) -> Tensor:
    """The mean feature of each mask, weighted by its probabilities: float [N, Q, E].

    K-Net sums over the cells above 0.5. A mean does not depend on the object's size, and it has a gradient.
    """
    weights = logits.sigmoid().flatten(2)
    total = weights.sum(dim=2, keepdim=True).clamp(min=1e-6)
    return torch.matmul(weights / total, features.flatten(2).transpose(1, 2))


def _layer(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, channels, bias=False), nn.LayerNorm(channels), nn.ReLU())


def _make_branch(channels: int) -> nn.Sequential:
    """Four 3x3 convolutions with group normalisation."""
    layers: list[nn.Module] = []
    for _ in range(4):
        convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        layers += [convolution, nn.GroupNorm(GROUPS, channels), nn.ReLU()]
    return nn.Sequential(*layers)
