"""HEIC and AVIF: the boxes of the container, walked by their lengths, and the decoder of HEIC.

AVIF is decoded by OpenCV. HEIC needs the extra `heif`: pi-heif, which brings libheif without an encoder.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Literal, TypeAlias

import numpy as np

from service.errors import InvalidImage, UnsupportedMedia
from service.types import Pixels, Size

try:
    import pi_heif
except ImportError:
    pi_heif = None

START = rb"....ftyp(heic|heix|heim|heis|hevc|mif1|msf1|avif|avis)"

Kind: TypeAlias = Literal["HEIC", "AVIF"]

_BOXES = 10_000  # real files have a few hundred; a phone's picture of 48 megapixels has about 100 tiles
_CHANNELS = {"L": 1, "LA": 2, "La": 2, "RGB": 3, "RGBA": 4, "RGBa": 4}  # by pi-heif's modes


@dataclass(frozen=True, slots=True)
class HeifHeader:
    """The kind and size of a container's pictures, and the way in which the main one is turned.

    size: the largest height and the largest width of all pictures, as stored: those of the main one's tiles
        and thumbnails are smaller. turns: quarter turns against the clock, after the mirror is undone.
    mirror: None; 0: the picture is upside down; 1: left and right are exchanged.
    """

    kind: Kind
    size: Size
    turns: int = 0
    mirror: int | None = None


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    content: memoryview


def read_heif(data: bytes) -> HeifHeader:
    """The header of a HEIC or AVIF file; raises InvalidImage, and struct.error where it ends within a box."""
    top = list(_walk(memoryview(data)))
    boxes = {box.kind: box.content for box in reversed(top)}
    inner = {box.kind: box.content for box in _walk(_find(boxes, b"meta")[4:])}
    properties = {box.kind: box.content for box in _walk(_find(inner, b"iprp"))}
    listed = list(_walk(_find(properties, b"ipco")))
    sizes = [struct.unpack_from(">II", box.content, 4) for box in listed if box.kind == b"ispe"]
    if not sizes:
        raise InvalidImage("the HEIC or AVIF file does not say how large its picture is")
    size = Size(max(height for _, height in sizes), max(width for width, _ in sizes))
    own = [listed[place - 1] for place in _list_properties(inner, properties) if 0 < place <= len(listed)]
    turns = [box.content[0] & 3 for box in own if box.kind == b"irot"]
    mirrors = [box.content[0] & 1 for box in own if box.kind == b"imir"]
    kind: Kind = "AVIF" if any(box.kind == b"av1C" for box in listed) else "HEIC"
    return HeifHeader(kind, size, turns[0] if turns else 0, mirrors[0] if mirrors else None)


def decode_heic(data: bytes) -> Pixels | None:
    """The main picture, turned as it is meant to be seen, uint8 [H, W, 3] RGB; None where it is damaged.

    Raises UnsupportedMedia without the extra `heif`.
    """
    if pi_heif is None:
        raise UnsupportedMedia(
            "this service does not read HEIC: send JPEG or PNG, or install the service with its extra heif"
        )
    pi_heif.options.DECODE_THREADS = 1
    try:
        main = pi_heif.open_heif(data, convert_hdr_to_8bit=True)
        (width, height), channels = main.size, _CHANNELS[main.mode]
        rows = np.frombuffer(main.data, np.uint8).reshape(height, main.stride)  # with padding at their ends
    except (ValueError, RuntimeError, OSError, EOFError, SyntaxError, LookupError):
        return None
    pixels = rows[:, : width * channels].reshape(height, width, channels)
    # A copy, because the decoder's memory goes with `main`.
    return np.repeat(pixels[..., :1], 3, axis=2) if channels < 3 else pixels[..., :3].copy()


def turn(pixels: Pixels, header: HeifHeader) -> Pixels:
    """The picture of an AVIF as it is meant to be seen: OpenCV leaves the container's turns to its caller.

    >>> turn(np.arange(6, dtype=np.uint8).reshape(2, 3), HeifHeader("AVIF", Size(2, 3), turns=1)).tolist()
    [[2, 5], [1, 4], [0, 3]]
    """
    turned = np.rot90(pixels, header.turns)
    if header.mirror is not None:
        turned = np.flip(turned, header.mirror)
    return np.ascontiguousarray(turned)


def _walk(view: memoryview) -> Iterator[_Box]:
    """The boxes side by side in some bytes; raises InvalidImage where one reaches past their end."""
    at = 0
    for _ in repeat(None, _BOXES):
        if at == len(view):
            return
        length, kind = struct.unpack_from(">I4s", view, at)
        head = 8
        if length == 1:
            (length,), head = struct.unpack_from(">Q", view, at + 8), 16
        end = len(view) if length == 0 else at + length
        if end > len(view) or end < at + head:
            raise InvalidImage("the image is cut off: bytes are missing at its end")
        yield _Box(kind, view[at + head : end])
        at = end
    raise InvalidImage("the HEIC or AVIF file has too many boxes")


def _find(boxes: dict[bytes, memoryview], kind: bytes) -> memoryview:
    if kind not in boxes:
        raise InvalidImage(f"the HEIC or AVIF file has no box {kind.decode()}")
    return boxes[kind]


def _list_properties(inner: dict[bytes, memoryview], properties: dict[bytes, memoryview]) -> list[int]:
    """The places, from 1, of the main picture's properties; none where the file does not say."""
    if b"pitm" not in inner or b"ipma" not in properties:
        return []
    main, links = inner[b"pitm"], properties[b"ipma"]
    (wanted,) = struct.unpack_from(">I" if main[0] else ">H", main, 4)
    (count,) = struct.unpack_from(">I", links, 4)
    item, wide, at = (">IB" if links[0] else ">HB"), links[3] & 1, 8
    for _ in range(min(count, _BOXES)):
        number, linked = struct.unpack_from(item, links, at)
        at += struct.calcsize(item)
        places = struct.unpack_from(f">{linked}{'H' if wide else 'B'}", links, at)
        if number == wanted:
            return [place & (0x7FFF if wide else 0x7F) for place in places]
        at += linked * (2 if wide else 1)
    return []
