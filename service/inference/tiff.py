"""The header of a TIFF: the first picture's size, and all that could make it larger than it says."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from service.errors import InvalidImage
from service.types import Size

START = rb"II\*\0|MM\0\*"

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES = 256, 257, 258, 259, 277
_OFFSETS, _LENGTHS = (273, 324), (279, 325)  # of strips, of tiles
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_KNOWN = {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT, *_OFFSETS, *_LENGTHS}
_READ = {1: "B", 3: "H", 4: "I"}  # the kinds of whole numbers
_ENTRIES = 1000  # real files have a few dozen
_PIECES = 100_000  # strips or tiles
_PIXEL_BITS = 64  # four samples of 16 bits, or two of 32
_OLD_JPEG = 6


@dataclass(frozen=True, slots=True)
class _Entry:
    """A field: its values are `count` numbers of a struct's kind at `at`."""

    kind: str
    count: int
    at: int


def read_tiff(data: bytes) -> Size:
    """The most pixels each way that the first picture takes in memory, of which its tiles may be a part.

    Raises InvalidImage where it is no TIFF that can be read here, or bytes are missing; struct.error where
    it ends within its header.
    """
    order = "<" if data[:2] == b"II" else ">"
    fields = _read_fields(data, order)
    width, height = (_read(data, order, fields, tag)[0] for tag in (_WIDTH, _HEIGHT))
    bits = max(_read(data, order, fields, _BITS, 1))
    samples = _read(data, order, fields, _SAMPLES, 1)[0]
    if bits * samples > _PIXEL_BITS:
        raise InvalidImage(f"the TIFF has {samples} samples of {bits} bits in each pixel: send 8 or 16 bits")
    if _read(data, order, fields, _COMPRESSION, 1)[0] == _OLD_JPEG:
        raise InvalidImage("the TIFF holds a JPEG of the old kind (compression 6): send the JPEG itself")
    _check_pieces(data, order, fields)
    tile_width, tile_height = (_read(data, order, fields, tag, 1)[0] for tag in (_TILE_WIDTH, _TILE_HEIGHT))
    return Size(max(height, tile_height), max(width, tile_width))


def _read_fields(data: bytes, order: str) -> Mapping[int, _Entry]:
    """The fields of whole numbers of the first directory, by their tags."""
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    if count > _ENTRIES:
        raise InvalidImage("the TIFF has too many fields")
    fields = dict[int, _Entry]()
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, number, values = struct.unpack_from(f"{order}HHI", data, at)
        if number not in _READ and tag in _KNOWN:
            raise InvalidImage(f"the TIFF's field {tag} is no whole number as TIFF has them")
        if number in _READ:
            kind = _READ[number]
            inside = values * struct.calcsize(kind) <= 4
            place = at + 8 if inside else struct.unpack_from(f"{order}I", data, at + 8)[0]
            fields.setdefault(tag, _Entry(kind, values, place))
    return fields


def _read(
    data: bytes, order: str, fields: Mapping[int, _Entry], tag: int, default: int | None = None
) -> tuple[int, ...]:
    """The values of a field, at least one."""
    if tag not in fields or not fields[tag].count:
        if default is None:
            raise InvalidImage(f"the TIFF lacks the field {tag}")
        return (default,)
    entry = fields[tag]
    if entry.count > _PIECES:
        raise InvalidImage(f"the TIFF has more than {_PIECES} strips or tiles")
    return struct.unpack_from(f"{order}{entry.count}{entry.kind}", data, entry.at)


def _check_pieces(data: bytes, order: str, fields: Mapping[int, _Entry]) -> None:
    """Raises InvalidImage where a strip or tile is not all there: libtiff would fill it with grey."""
    for where, how_long in zip(_OFFSETS, _LENGTHS, strict=True):
        if where in fields:
            starts = _read(data, order, fields, where)
            lengths = _read(data, order, fields, how_long)
            if len(starts) != len(lengths):
                raise InvalidImage("the TIFF has strips or tiles without a length")
            if any(start + length > len(data) for start, length in zip(starts, lengths, strict=True)):
                raise InvalidImage("the image is cut off: bytes are missing at its end")
