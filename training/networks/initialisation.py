"""Weights to train from scratch with, as the paper does (BlitzMask, sec. 4.1)."""

import math

from torch import nn

from training.networks.layers import Convolution


def initialise(network: nn.Module) -> None:
    """Draws the weights of every `Convolution` so that gradients keep their size on the way down.

    He et al. (2015), "Delving deep into rectifiers", eq. 14: normal, variance 2 / fan out. The fan out of a
    depthwise filter is its own k x k alone, as in EfficientNet's code; counting all channels would make its
    output vanish beside the epsilon of the batch normalisation.
    """
    for module in network.modules():
        if isinstance(module, Convolution):
            kernel = math.prod(module.conv.kernel_size)
            fan_out = kernel * module.conv.out_channels // module.conv.groups
            nn.init.normal_(module.conv.weight, std=math.sqrt(2 / fan_out))
