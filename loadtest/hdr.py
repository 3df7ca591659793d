"""Latencies as an HdrHistogram in its portable text form, for the tools that read, merge and plot those.

The percentiles of a report do not come from here: they are exact. Format: HdrHistogram's V2, compressed;
microseconds from 1 to an hour, three significant digits.
"""

import base64
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

_DIGITS = 3
_HIGHEST = 3_600_000_000
_HALF_BITS = 10  # 2^11 steps cover two thousand values, which three digits ask for
_COOKIE, _COMPRESSED_COOKIE = 0x1C849313, 0x1C849314


def encode_histogram(milliseconds: npt.NDArray[np.float64]) -> str:
    """The histogram of latencies, as `HistogramLogReader` and its likes take it."""
    microseconds = np.clip(np.rint(milliseconds * 1e3), 1, _HIGHEST).astype(np.int64)
    counts = np.bincount(_to_slots(microseconds)) if len(microseconds) else np.zeros(0, np.int64)
    packed = b"".join(_pack_integer(value) for value in _fold_zeros(counts.tolist()))
    header = struct.pack(">iiiiqqd", _COOKIE, len(packed), 0, _DIGITS, 1, _HIGHEST, 1.0)
    compressed = zlib.compress(header + packed)
    return base64.b64encode(struct.pack(">ii", _COMPRESSED_COOKIE, len(compressed)) + compressed).decode()


def _to_slots(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Slots that grow by a factor of two every 1024: int64 [N]."""
    bits = np.frexp((values | (2 << _HALF_BITS) - 1).astype(np.float64))[1].astype(np.int64)
    doublings = bits - (_HALF_BITS + 1)
    return ((doublings + 1) << _HALF_BITS) + (values >> doublings) - (1 << _HALF_BITS)


def _fold_zeros(counts: list[int]) -> Iterator[int]:
    """Counts, with a run of zeros as its negative length."""
    zeros = 0
    for count in counts:
        if count == 0:
            zeros += 1
            continue
        if zeros:
            yield -zeros
            zeros = 0
        yield count


def _pack_integer(value: int) -> bytes:
    """Zigzag LEB128 of 64 bits; the ninth byte would hold eight bits, which no count here needs.

    >>> _pack_integer(300).hex(), _pack_integer(-2).hex()
    ('d804', '03')
    """
    rest = value << 1 if value >= 0 else (-value << 1) - 1
    packed = bytearray()
    while rest > 0x7F:
        packed.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*packed, rest])
