"""A frame of a stream, and its pixels."""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from service.errors import BlitzError, ImageTooLarge, InvalidImage
from service.frames import RawImage
from service.inference.images import Limits
from service.types import Pixels

Picture: TypeAlias = bytes | RawImage | BlitzError
"""An encoded image, raw pixels, or the error that stands in their place."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a stream.

    id, captured_us: the client chooses them, and its result repeats them; the latter is microseconds of the
        client's clock.
    arrived: the time at which it was read, in seconds of the session's clock; clients leave it out.
    """

    id: int
    captured_us: int | None
    picture: Picture
    arrived: float = 0.0


def raw_to_pixels(raw: RawImage, limits: Limits) -> Pixels:
    """uint8 [H, W, 3] RGB, image frame.

    Raises ImageTooLarge, and InvalidImage where the data do not fill the size.

    >>> from service.types import Size
    >>> raw_to_pixels(RawImage("bgr", Size(1, 2), bytes([0, 1, 2, 3, 4, 5])), Limits()).tolist()
    [[[2, 1, 0], [5, 4, 3]]]
    """
    height, width = raw.size.height, raw.size.width
    if raw.size.pixels > limits.max_pixels:
        raise ImageTooLarge(f"{width} x {height} pixels are more than the {limits.max_pixels} accepted here")
    if raw.format == "i420" and (height % 2 or width % 2):
        raise InvalidImage(f"i420 needs an even width and height, got {width} x {height}")
    expected = raw.size.pixels * 3 // (2 if raw.format == "i420" else 1)
    if len(raw.data) != expected:
        raise InvalidImage(
            f"{width} x {height} {raw.format} is {expected} bytes without padding, got {len(raw.data)}"
        )
    values = np.frombuffer(raw.data, np.uint8)
    if raw.format == "i420":
        planes = values.reshape(height * 3 // 2, width)
        return _recolour(planes, cv2.COLOR_YUV2RGB_I420)
    pixels = values.reshape(height, width, 3)
    return pixels if raw.format == "rgb" else _recolour(pixels, cv2.COLOR_BGR2RGB)


def _recolour(values: Pixels, code: int) -> Pixels:
    return cv2.cvtColor(values, code).astype(np.uint8, copy=False)
