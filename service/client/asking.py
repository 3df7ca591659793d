"""The image and the options of a call, checked before they are sent: the same for REST and gRPC."""

import asyncio
import os
import struct
import zlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from numbers import Integral, Real
from pathlib import Path
from typing import TypeAlias, get_args

import numpy as np

from service.errors import InvalidImage, InvalidOption
from service.frames import RawImage, StreamOptions
from service.types import MaskFormat, Nms, Options, Pixels, Size, split_labels

Image: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | Pixels
"""An encoded image, the path of one, or pixels: uint8 [H, W, 3] RGB or [H, W] grey."""

PNG = b"\x89PNG\r\n\x1a\n"
GREY, RGB = 0, 2  # PNG's colour types
LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a stream.

    id, captured_us: chosen by the caller; they come back with the result. captured_us: microseconds of any
        clock.
    """

    id: int
    captured_us: int | None
    picture: Image | RawImage


def read_image(image: Image) -> bytes:
    """The bytes to send for an image. Raises InvalidImage, and OSError when a file cannot be read."""
    match image:
        case bytes():
            return image
        case bytearray() | memoryview():
            return bytes(image)
        case str() | os.PathLike():
            return Path(image).read_bytes()
        case np.ndarray():
            return pixels_to_png(image)
    raise InvalidImage(
        f"the image is a {type(image).__name__}, expected bytes, a path, or a numpy array of pixels"
    )


async def load_image(image: Image) -> bytes:
    """As `read_image`, in a thread, so that the event loop is not blocked."""
    return image if isinstance(image, bytes) else await asyncio.to_thread(read_image, image)


def read_picture(picture: object) -> bytes | RawImage:
    """As `read_image` for a frame of a stream. Colour pixels are sent as they are, without encoding."""
    match picture:
        case RawImage():
            return picture
        case np.ndarray() if picture.ndim == 3:
            _check_pixels(picture)
            return RawImage("rgb", Size(*picture.shape[:2]), picture.tobytes())
    return read_image(picture)  # type: ignore[arg-type]  # it refuses other objects


def pixels_to_png(pixels: Pixels) -> bytes:
    """An encoded picture without loss, of uint8 [H, W, 3] RGB or [H, W] grey; raises InvalidImage.

    >>> pixels_to_png(np.zeros((2, 3), np.uint8))[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """
    _check_pixels(pixels)
    height, width = pixels.shape[:2]
    rows = np.zeros((height, 1 + pixels[0].size), np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = pixels.reshape(height, -1)
    colours = RGB if pixels.ndim == 3 else GREY
    header = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.data, 1)), (b"IEND", b""))
    return PNG + b"".join(_make_chunk(name, data) for name, data in parts)


def check_options(options: Options) -> Options:
    """The options as the server takes them; raises InvalidOption.

    >>> check_options(Options(classes="cat, dog")).classes
    ('cat', 'dog')
    """
    if not isinstance(options, Options):
        raise InvalidOption(f"the options are a {type(options).__name__}, expected Options(...)")
    _check_choice("masks", options.masks, get_args(MaskFormat))
    _check_choice("nms", options.nms, get_args(Nms))
    threshold, most = options.score_threshold, options.max_instances
    if threshold is not None and (isinstance(threshold, bool) or not isinstance(threshold, Real)):
        raise InvalidOption(f"score_threshold is {threshold!r}, expected a number from 0 to 1")
    if most is not None and (isinstance(most, bool) or not isinstance(most, Integral) or most > LARGEST):
        raise InvalidOption(f"max_instances is {most!r}, expected a whole number from 1 to {LARGEST}")
    if isinstance(options.tolerance, bool) or not isinstance(options.tolerance, Real):
        raise InvalidOption(f"tolerance is {options.tolerance!r}, expected a number of pixels")
    _check_tiles(options.tiles)
    return replace(options, classes=_check_classes(options.classes))


def check_stream_options(options: StreamOptions) -> StreamOptions:
    """The same for the options of a stream."""
    if not isinstance(options, StreamOptions):
        raise InvalidOption(f"the options are a {type(options).__name__}, expected StreamOptions(...)")
    return replace(options, segment=check_options(options.segment))


def check_name(name: str, value: str | None) -> str | None:
    """A model's name or version; raises InvalidOption when a message cannot carry it."""
    if value is not None and not isinstance(value, str):
        raise InvalidOption(f"{name} is {value!r}, expected a text")
    return None if value is None else _check_text(name, value)


def _check_tiles(tiles: object) -> None:
    if tiles is None or tiles == "auto":
        return
    if isinstance(tiles, bool) or not isinstance(tiles, Integral) or not 1 <= int(tiles) <= LARGEST:
        raise InvalidOption(f'tiles is {tiles!r}, expected "auto" or a whole number from 1')


def _check_classes(classes: object) -> tuple[str, ...] | None:
    if classes is None:
        return None
    labels = split_labels(classes) if isinstance(classes, str) else classes
    if not isinstance(labels, Collection) or not all(isinstance(label, str) for label in labels):
        raise InvalidOption(f'classes is {classes!r:.200}, expected labels such as ("cat", "dog")')
    if not labels:
        raise InvalidOption("classes is empty: name at least one label, or leave it out for all")
    return tuple(_check_text("classes", label) for label in labels)


def _check_text(name: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidOption(f"{name} is {text!r:.200}, which is no Unicode text") from error
    return text


def _check_choice(name: str, value: object, known: Collection[str]) -> None:
    if value not in known:
        raise InvalidOption(f"{name} is {value!r:.200}, expected one of {', '.join(known)}")


def _check_pixels(pixels: Pixels) -> None:
    rgb = pixels.ndim == 3 and pixels.shape[2] == 3
    if pixels.dtype != np.uint8 or not (rgb or pixels.ndim == 2) or pixels.size == 0:
        raise InvalidImage(
            f"the array is {pixels.dtype} {list(pixels.shape)}, expected uint8 [height, width, 3] in RGB, "
            "or [height, width] in grey"
        )


def _make_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
