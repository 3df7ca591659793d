"""The size of an encoded image from its header, so that a bomb is refused before it is decoded.

TIFF is left out on purpose: its tiles may be larger than the picture, so its header bounds nothing.
"""

import re
import struct
from collections.abc import Callable, Iterator
from itertools import repeat

from service.errors import InvalidImage
from service.types import Size

ACCEPTED = "JPEG, PNG, WebP, BMP or GIF"

_JPEG_START = b"\xff\xd8\xff"
_JPEG_SEGMENTS = 2000  # before the frame header; real files have a few dozen, colour profiles included
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCANS = 40  # a progressive file has about ten
_JPEG_END = b"\xff\xd9"
_JPEG_MARKS = re.compile(rb"\xff[\xd9\xda]")  # end or scan; in compressed data a zero follows each 255
_PNG_START = b"\x89PNG"
_PNG_CHUNKS = 100_000  # 4 KB each at the default limit of bytes


def read_size(data: bytes) -> Size:
    """The stored size of an image, EXIF orientation not applied.

    Raises InvalidImage when it is empty, of another format, or cut off; what is corrupt within, only a
    decoder can tell.

    >>> read_size(b"GIF89a" + bytes([64, 0, 48, 0]))
    Size(height=48, width=64)
    """
    if not data:
        raise InvalidImage("the image is empty")
    for pattern, measure in _FORMATS:
        if pattern.match(data):
            return _measure(data, measure)
    raise InvalidImage(f"this is not an image the service can read: send {ACCEPTED}")


def is_jpeg(data: bytes) -> bool:
    """Whether an image whose size could be read is a JPEG."""
    return data.startswith(_JPEG_START)


def is_png(data: bytes) -> bool:
    """Whether an image whose size could be read is a PNG."""
    return data.startswith(_PNG_START)


def strip_png(data: bytes) -> bytes:
    """A PNG whose size could be read, without texts, profiles, more frames, and what should be there once.

    libpng prints a line on stderr for each such chunk that it finds fault with, and there may be thousands.
    """
    kept, seen = [memoryview(data)[:8]], set()
    for kind, chunk in _walk_png(data):
        needed = kind == b"eXIf" or kind[:1].isupper()  # so begin those that a decoder has to understand
        if kind == b"IDAT" or (needed and kind not in seen):
            kept.append(chunk)
            seen.add(kind)
    return b"".join(kept)


def _measure(data: bytes, measure: Callable[[bytes], Size]) -> Size:
    try:
        return measure(data)
    except (IndexError, struct.error) as error:
        raise _truncated() from error
    except ValueError as error:
        raise InvalidImage(f"the image has no pixels: {error}") from error


def _truncated() -> InvalidImage:
    return InvalidImage("the image is truncated: its end is missing")


def _measure_jpeg(data: bytes) -> Size:
    at = 2
    for _ in repeat(None, _JPEG_SEGMENTS):
        while data[at : at + 2] == b"\xff\xff":  # fill bytes may precede a marker
            at += 1
        marker = data[at + 1]
        # Strict where libjpeg forgives: whatever both accept, both read in the same way.
        if data[at] != 0xFF or marker < 0xC0 or 0xD0 <= marker <= 0xD9:
            break
        if marker in _JPEG_FRAMES:
            _check_scans(data, at)
            return Size(*struct.unpack_from(">HH", data, at + 5))
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    raise InvalidImage("the JPEG has no readable frame header")


def _check_scans(data: bytes, at: int) -> None:
    for scans, mark in enumerate(_JPEG_MARKS.finditer(data, at)):
        if mark[0] == _JPEG_END:
            return
        if scans == _JPEG_SCANS:  # each takes a pass over all pixels, and may have no more than 70 bytes
            raise InvalidImage(f"the JPEG has more than {_JPEG_SCANS} scans")
    raise _truncated()


def _measure_png(data: bytes) -> Size:
    width, height = struct.unpack_from(">II", data, 16)
    for _ in _walk_png(data):
        pass
    return Size(height, width)


def _walk_png(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and bytes of every chunk up to the last, IEND."""
    view, at = memoryview(data), 8
    for _ in repeat(None, _PNG_CHUNKS):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):  # OpenCV would allocate whatever length a chunk claims, up to 4 GB
            raise _truncated()
        yield kind, view[at:end]
        if kind == b"IEND":
            return
        at = end
    raise InvalidImage("the PNG has too many chunks")


def _measure_webp(data: bytes) -> Size:
    if len(data) < 8 + int(struct.unpack_from("<I", data, 4)[0]):
        raise _truncated()
    kind = data[12:16]
    if kind == b"VP8X":
        return Size(_little_endian(data, 27, 3) + 1, _little_endian(data, 24, 3) + 1)
    if kind == b"VP8L":
        bits = _little_endian(data, 21, 4)
        return Size((bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1)
    return Size(_little_endian(data, 28, 2) & 0x3FFF, _little_endian(data, 26, 2) & 0x3FFF)


def _measure_bmp(data: bytes) -> Size:
    if _little_endian(data, 14, 4) == 12:  # the oldest header
        return Size(_little_endian(data, 20, 2), _little_endian(data, 18, 2))
    width, height = struct.unpack_from("<ii", data, 18)
    return Size(abs(height), width)  # a negative height means top row first


def _measure_gif(data: bytes) -> Size:
    return Size(_little_endian(data, 8, 2), _little_endian(data, 6, 2))


def _little_endian(data: bytes, at: int, count: int) -> int:
    (field,) = struct.unpack_from(f"{count}s", data, at)
    return int.from_bytes(field, "little")


_FORMATS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], Size]], ...] = (
    (re.compile(_JPEG_START), _measure_jpeg),
    (re.compile(rb"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", re.DOTALL), _measure_png),
    (re.compile(rb"RIFF....WEBP(VP8[ LX])", re.DOTALL), _measure_webp),
    (re.compile(rb"BM"), _measure_bmp),
    (re.compile(rb"GIF8[79]a"), _measure_gif),
)
