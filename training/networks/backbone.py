"""What every backbone is: blocks in a row, tapped where the stride is about to grow."""

from collections.abc import Sequence

from torch import Tensor, nn


class Backbone(nn.Module):
    """Blocks in a row; the outputs of those numbered in `taps` are the features, the finest at stride 4.

    channels: of each feature. The next feature has twice the stride of the one before.
    """

    def __init__(
        self, blocks: Sequence[nn.Module], *, taps: tuple[int, ...], channels: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.taps = taps
        self.channels = channels

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features, finest first; image: float [N, 3, H, W]."""
        features, tapped = image, []
        for number, block in enumerate(self.blocks):
            features = block(features)
            if number in self.taps:
                tapped.append(features)
        return tapped


def round_channels(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor` that is not more than a tenth below.

    >>> round_channels(24), round_channels(10.8), round_channels(17.6)
    (24, 16, 16)
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor
