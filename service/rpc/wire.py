"""A check of a message's bytes before protobuf reads them.

A message of 20 MB can hold six million fields. Protobuf would take gigabytes for them, and block the event
loop for seconds. So a message may have only so many fields, and so many bytes beside its images and tensors.
"""

from collections.abc import Mapping
from typing import TypeAlias

from service.errors import InvalidOption

Layout: TypeAlias = Mapping[int, "Layout | None"]
"""The fields that may be large, by their numbers: {} for bytes, a layout for a message, None for numbers."""

MESSAGE_MARGIN = 65_536  # bytes of a message beside its images and tensors
MOST_FIELDS = 4_096
MOST_NUMBERS = 6_000_000  # bytes of numbers that are not sent as raw bytes: 20 MB take 0.2 seconds to parse
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FIXED = {FIXED64: 8, FIXED32: 4}
TENSOR: Layout = {**dict.fromkeys(range(1, 8)), 8: {}}  # numbers of seven types, and bytes_contents
LARGE: Mapping[str, Layout] = {
    "blitzmask.v1.SegmentRequest": {1: {}},  # image
    "blitzmask.v1.Frame": {3: {}, 5: {3: {}}},  # image, raw.data
    "inference.ModelInferRequest": {5: {5: TENSOR}, 7: {}},  # inputs.contents, raw_input_contents
}


class Truncated(ValueError):
    """The bytes are no message: they end within a field, or use a wire type that proto3 does not have."""


def check_wire(data: bytes, layout: Layout) -> None:
    """Raises InvalidOption when the bytes are too much work, Truncated when they are no message.

    >>> check_wire(bytes([0x0A, 2]) + b"ab", {1: {}})
    >>> check_wire(bytes([0x10, 1]) * 5000, {1: {}})
    Traceback (most recent call last):
        ...
    service.errors.InvalidOption: the message has more than 4096 fields
    """
    _Scan(data).visit(0, len(data), layout)


class _Scan:
    """Counts the fields of a message, and the bytes of those that are meant to be small."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._fields = 0
        self._small = 0
        self._numbers = 0

    def visit(self, start: int, end: int, layout: Layout) -> None:
        at = start
        while at < end:
            key, value = self._read_varint(at, end)
            number, kind = key >> 3, key & 7
            after = self._skip(value, end, kind)
            if kind != BYTES or number not in layout:
                self._count(small=after - at)
            elif (inner := layout[number]) is None:
                self._count(numbers=after - at)
            else:
                self._count()
                self.visit(self._read_varint(value, end)[1] if inner else after, after, inner)
            at = after

    def _count(self, *, small: int = 0, numbers: int = 0) -> None:
        self._fields += 1
        self._small += small
        self._numbers += numbers
        if self._fields > MOST_FIELDS:
            raise InvalidOption(f"the message has more than {MOST_FIELDS} fields")
        if self._small > MESSAGE_MARGIN:
            raise InvalidOption(
                f"the message has more than {MESSAGE_MARGIN} bytes beside its images and tensors"
            )
        if self._numbers > MOST_NUMBERS:
            raise InvalidOption(
                f"the message has more than {MOST_NUMBERS} bytes of numbers; send them as raw_input_contents"
            )

    def _skip(self, at: int, end: int, kind: int) -> int:
        """The place after a value."""
        if kind == VARINT:
            after = self._read_varint(at, end)[1]
        elif kind == BYTES:
            length, begin = self._read_varint(at, end)
            after = begin + length
        elif kind in FIXED:
            after = at + FIXED[kind]
        else:
            raise Truncated
        if after > end:
            raise Truncated
        return after

    def _read_varint(self, at: int, end: int) -> tuple[int, int]:
        """The number at a place, and the place after it."""
        number = 0
        for place in range(10):
            if at + place >= end:
                break
            byte = self._data[at + place]
            number |= (byte & 127) << 7 * place
            if byte < 128:
                return number, at + place + 1
        raise Truncated
