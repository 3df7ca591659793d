"""Backbones of inverted residuals: what MobileNetV2 and EfficientNet-Lite have in common."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from training.networks.backbone import Backbone
from training.networks.layers import Convolution


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the tables in which papers describe such a network; `stride` is that of the first repeat."""

    expansion: int
    channels: int
    repeats: int
    stride: int
    kernel: int = 3


class InvertedResidual(nn.Module):
    """Expand by a 1x1, filter by a depthwise k x k, project linearly; with a shortcut where shapes allow."""

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
    """A stride-2 stem of `stem` channels and the rows' blocks, tapped at strides 4, 8, 16 and 32."""
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
