"""The format and size of an encoded image from its header, so that a bomb is refused before it is decoded."""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Literal, TypeAlias

from service.errors import InvalidImage
from service.inference import heif, jpeg, tiff
from service.inference.heif import HeifHeader
from service.types import Size

ACCEPTED = "JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP or GIF"

Format: TypeAlias = Literal["JPEG", "PNG", "WebP", "BMP", "GIF", "TIFF", "HEIC", "AVIF"]

_CHUNKS = 100_000  # of PNG, and blocks of GIF: 200 bytes each at the default limit of bytes
_WEBP_CHUNKS = 1000
_GIF_PIXELS_PER_BYTE = 2560  # the most that LZW can do
_RLE_PIXELS_PER_BYTE = 128
_CORE_HEADER = 12  # bytes of the oldest header of a bitmap
_UNCOMPRESSED = frozenset({0, 3})


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """`size` is as stored; `upright`: EXIF does not turn the picture; `ended`: its end marker is there.

    container: of HEIC and AVIF, which turn pictures in a way of their own.
    """

    format: Format
    size: Size
    upright: bool = False
    ended: bool = True
    container: HeifHeader | None = None


def read_header(data: bytes) -> ImageHeader:
    """The header of an image. Damage in its pixels is left to the decoder.

    Raises InvalidImage when it is empty, of another format, cut off, or too short for its size.

    >>> read_header(b"GIF89a" + bytes([64, 0, 48, 0, 0, 0, 0]))
    ImageHeader(format='GIF', size=Size(height=48, width=64), upright=False, ended=True, container=None)
    """
    if not data:
        raise InvalidImage("the image is empty")
    for pattern, read in _READERS:
        if pattern.match(data):
            return _read(data, read)
    raise InvalidImage(f"this is not an image the service can read: send {ACCEPTED}")


def has_signature(data: bytes) -> bool:
    """True where the first bytes are those of a format that the service reads."""
    return any(pattern.match(data) for pattern, _ in _READERS)


def keep_picture(data: bytes, header: ImageHeader) -> bytes:
    """An image whose header could be read, without what costs time or output and is not its (first) picture.

    libpng prints a line on stderr for each odd chunk; GIF and WebP decoders walk all frames and chunks. There
    may be hundreds of thousands.
    """
    match header.format:
        case "PNG":
            return b"".join([data[:8], *_first_chunks(_walk_png(data), _is_needed_in_png)])
        case "WebP" if data[12:16] == b"VP8X":
            body = b"".join(_first_chunks(_walk_webp(data), _is_needed_in_webp))
            return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
        case "GIF":
            end = _end_of_frame(data)
            return data[:end] + b";" if end else data
        case _:
            return data


def _read(data: bytes, read: Callable[[bytes], ImageHeader]) -> ImageHeader:
    try:
        return read(data)
    except (IndexError, struct.error) as error:
        raise jpeg.truncated() from error
    except ValueError as error:
        raise InvalidImage(f"the image has no pixels: {error}") from error


def _first_chunks(
    chunks: Iterator[tuple[bytes, memoryview]], is_needed: Callable[[bytes], bool]
) -> Iterator[memoryview]:
    """The first chunk of each kind that is needed, and every one with pixels of a PNG."""
    seen = set[bytes]()
    for kind, chunk in chunks:
        if kind == b"IDAT" or (is_needed(kind) and kind not in seen):
            seen.add(kind)
            yield chunk


def _read_jpeg(data: bytes) -> ImageHeader:
    header = jpeg.read_jpeg(data)
    return ImageHeader("JPEG", header.size, header.upright, header.ended)


def _read_png(data: bytes) -> ImageHeader:
    width, height = struct.unpack_from(">II", data, 16)
    for _ in _walk_png(data):
        pass
    return ImageHeader("PNG", Size(height, width))


def _read_tiff(data: bytes) -> ImageHeader:
    return ImageHeader("TIFF", tiff.read_tiff(data))


def _read_heif(data: bytes) -> ImageHeader:
    header = heif.read_heif(data)
    return ImageHeader(header.kind, header.size, container=header)


def _walk_png(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and bytes of every chunk up to the last, IEND."""
    view, at = memoryview(data), 8
    for _ in repeat(None, _CHUNKS):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):  # OpenCV would allocate the length that a chunk claims, up to 4 GB
            raise jpeg.truncated()
        yield kind, view[at:end]
        if kind == b"IEND":
            return
        at = end
    raise InvalidImage("the PNG has too many chunks")


def _is_needed_in_png(kind: bytes) -> bool:
    """Upper case begins the names of chunks that a decoder has to understand."""
    return kind == b"eXIf" or kind[:1].isupper()


def _read_webp(data: bytes) -> ImageHeader:
    if len(data) < 8 + int(struct.unpack_from("<I", data, 4)[0]):
        raise jpeg.truncated()
    kind = data[12:16]
    if kind == b"VP8X":
        for _ in _walk_webp(data):
            pass
        size = Size(_little_endian(data, 27, 3) + 1, _little_endian(data, 24, 3) + 1)
    elif kind == b"VP8L":
        bits = _little_endian(data, 21, 4)
        size = Size((bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1)
    else:
        size = Size(_little_endian(data, 28, 2) & 0x3FFF, _little_endian(data, 26, 2) & 0x3FFF)
    return ImageHeader("WebP", size)


def _walk_webp(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and bytes of every chunk, of an animation up to its first frame."""
    view, at = memoryview(data), 12
    last = 8 + int(struct.unpack_from("<I", data, 4)[0])
    for _ in repeat(None, _WEBP_CHUNKS):
        if at + 8 > last:
            return
        kind, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length + length % 2
        yield kind, view[at:end]
        if kind == b"ANMF":
            return
        at = end
    raise InvalidImage("the WebP has too many chunks")


def _is_needed_in_webp(kind: bytes) -> bool:
    return kind in (b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L", b"EXIF")


def _read_bmp(data: bytes) -> ImageHeader:
    if _little_endian(data, 14, 4) == _CORE_HEADER:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    size = Size(abs(height), width)  # a negative height means top row first
    stored = (width * bits + 31) // 32 * 4 * size.height if compression in _UNCOMPRESSED else 0
    if stored > len(data) - _little_endian(data, 10, 4) or size.pixels > _RLE_PIXELS_PER_BYTE * len(data):
        raise jpeg.truncated()
    return ImageHeader("BMP", size)


def _read_gif(data: bytes) -> ImageHeader:
    width, height = struct.unpack_from("<HH", data, 6)
    size = Size(height, width)
    if size.pixels > _GIF_PIXELS_PER_BYTE * len(data):
        raise InvalidImage(f"the GIF has too few bytes for {width} x {height} pixels")
    return ImageHeader("GIF", size)


def _end_of_frame(data: bytes) -> int:
    """The end of a GIF's first frame; 0 where no frame has an end."""
    try:
        at = 13 + _colour_table(data[10])
        for _ in repeat(None, _CHUNKS):
            is_frame = data[at] == ord(",")
            at += 11 + _colour_table(data[at + 9]) if is_frame else 2
            while data[at]:  # blocks of up to 255 bytes, each after its length; the last one is empty
                at += 1 + data[at]
            at += 1
            if is_frame:
                return at
    except IndexError:
        return 0
    raise InvalidImage("the GIF has too many blocks before its first frame")


def _colour_table(flags: int) -> int:
    """Bytes of the table that flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _little_endian(data: bytes, at: int, count: int) -> int:
    (field,) = struct.unpack_from(f"{count}s", data, at)
    return int.from_bytes(field, "little")


_READERS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], ImageHeader]], ...] = (
    (re.compile(jpeg.START), _read_jpeg),
    (re.compile(rb"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", re.DOTALL), _read_png),
    (re.compile(rb"RIFF....WEBP(VP8[ LX])", re.DOTALL), _read_webp),
    (re.compile(rb"BM"), _read_bmp),
    (re.compile(rb"GIF8[79]a"), _read_gif),
    (re.compile(tiff.START), _read_tiff),
    (re.compile(heif.START, re.DOTALL), _read_heif),
)
