"""Pixels as the numbers that a graph takes, where the graph does not convert them itself.

There are 256 bytes and three channels, so a table holds every number, and a conversion only looks them up.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from service.errors import InvalidCard
from service.inference.card import GraphInput
from service.types import Pixels

_ORDERS = {"RGB": (0, 1, 2), "BGR": (2, 1, 0)}


def quantise_pixels(pixels: Pixels, dtype: Any) -> Any:
    """The pixels as our own graphs take them: unchanged for uint8, minus 128 for int8.

    >>> quantise_pixels(np.array([0, 255], np.uint8), np.int8).tolist()
    [-128, 127]
    """
    return pixels if dtype == np.uint8 else (pixels ^ 0x80).view(np.int8)


def make_table(given: GraphInput, details: Mapping[str, Any]) -> Any:
    """The number that the graph takes for each byte of each of its channels: [3, 256] of its dtype.

    details: the graph's input, whose quantisation rounds to the nearest step. Raises InvalidCard where a
    quantised input has no scale.
    """
    order = list(_ORDERS[given.order])
    mean, std = (np.array(part, np.float32)[order, None] for part in (given.mean, given.std))
    numbers = (np.arange(256, dtype=np.float32) / np.float32(given.scale) - mean) / std
    dtype, quantisation = np.dtype(details["dtype"]), details["quantization_parameters"]
    if dtype.kind == "f":
        return numbers.astype(dtype)
    if len(quantisation["scales"]) != 1:
        raise InvalidCard(
            f"the graph's input is {dtype.name} without one scale: export it with its quantisation"
        )
    steps = np.rint(numbers / quantisation["scales"][0] + quantisation["zero_points"][0])
    return np.clip(steps, np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)


def convert_pixels(pixels: Pixels, given: GraphInput, table: Any) -> Any:
    """The numbers of uint8 [1, H, W, 3] RGB pixels in the graph's layout and order, by its table."""
    planar = given.layout == "NCHW"
    height, width = pixels.shape[1:3]
    taken = np.empty((1, 3, height, width) if planar else (1, height, width, 3), table.dtype)
    for place, channel in enumerate(_ORDERS[given.order]):
        plane = taken[0, place] if planar else taken[0, :, :, place]
        plane[...] = table[place][pixels[0, :, :, channel]]
    return taken
