"""BlitzMask's layers, all of which mobile chips run fast (BlitzMask, sec. 3.1)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BN_EPSILON = 1e-3  # of the ImageNet weights, as in TensorFlow's MobileNet
BN_MOMENTUM = 0.1


class Convolution(nn.Module):
    """k x k convolution, batch normalisation and activation.

    Padding is TensorFlow's SAME: with stride 2 and an even size, one pixel more at the bottom right than at
    the top left. The ImageNet weights need it, and TFLite expresses it without a PAD operator.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: type[nn.Module] = nn.ReLU6,
    ) -> None:
        super().__init__()
        excess = max(0, kernel - 2) if stride > 1 else 0
        self.padding = (excess // 2, excess - excess // 2) * 2  # left, right, top, bottom
        padding = 0 if stride > 1 else kernel // 2
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, groups=groups, bias=False)
        self.is_strided_depthwise = stride > 1 and groups > 1
        self.norm = nn.BatchNorm2d(channels_out, eps=BN_EPSILON, momentum=BN_MOMENTUM)
        self.activation = activation()

    def forward(self, features: Tensor) -> Tensor:
        if any(self.padding):
            features = F.pad(features, self.padding)
        output: Tensor = self.activation(self.norm(self._convolve(features)))
        return output

    def _convolve(self, features: Tensor) -> Tensor:
        """The convolution; strided depthwise ones in float32, whose bfloat16 gradient is slow on CPUs."""
        if self.is_strided_depthwise and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return self.conv(features.float()).to(features.dtype)  # type: ignore[no-any-return]
        return self.conv(features)  # type: ignore[no-any-return]


def separable(channels_in: int, channels_out: int) -> nn.Sequential:
    """3x3 depthwise separable convolution: a solid line in the paper's figure 1."""
    return nn.Sequential(
        Convolution(channels_in, channels_in, kernel=3, groups=channels_in),
        Convolution(channels_in, channels_out),
    )


def upsample(features: Tensor) -> Tensor:
    """Bilinear x2: a dashed line in the paper's figure 1."""
    return F.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)


def initialise(network: nn.Module) -> None:
    """Draws the weights of every `Convolution` from a normal distribution with variance 2 / fan out.

    He et al. (2015), "Delving deep into rectifiers", eq. 14. The fan out of a depthwise filter is k x k
    alone, as in EfficientNet's code: with all channels its output would be too small beside the
    normalisation's epsilon.
    """
    for module in network.modules():
        if isinstance(module, Convolution):
            kernel = math.prod(module.conv.kernel_size)
            fan_out = kernel * module.conv.out_channels // module.conv.groups
            nn.init.normal_(module.conv.weight, std=math.sqrt(2 / fan_out))
