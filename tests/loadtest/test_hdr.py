import base64
import struct
import zlib

import numpy as np
import pytest

from loadtest.hdr import encode_histogram


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [  # written by HdrHistogram_py 0.10.8
        (
            [1.0, 2.5, 2.5, 40.0, 1234.5],
            "HISTFAAAACx4nJNpmSzMwMDAwwABzFCaEURcm7yEwf4DROA8P9NHYZa/9kyL/ZkApp4IrQ==",
        ),
        ([5.0], "HISTFAAAACJ4nJNpmSzMwMDAzAABMJoRRFybvITB/gNE4LAxEwBhjAWC"),
        ([], "HISTFAAAABx4nJNpmSzMgADMUJoRRFybvITB/gNEAABQ2gSH"),
        (
            [0.0, 0.001, 1.0, 2.048, 2.047, 3.6e6, 9e9],
            "HISTFAAAACx4nJNpmSzMwMDAywABzFCaEURcm7yEwf4DVIDlND/TagEmpqenmFgAo4EH6Q==",
        ),
    ],
)
def test_histograms_are_those_of_the_reference_implementation(
    milliseconds: list[float], expected: str
) -> None:
    assert encode_histogram(np.array(milliseconds)) == expected


def test_every_latency_is_counted() -> None:
    values = np.random.default_rng(0).lognormal(3, 1.5, 5000)
    packed = base64.b64decode(encode_histogram(values))
    payload = zlib.decompress(packed[8:])
    assert struct.unpack(">i", payload[4:8])[0] == len(payload) - 40
    assert sum(max(0, count) for count in unpack(payload[40:])) == 5000


def unpack(data: bytes) -> list[int]:
    counts, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            counts.append((value >> 1) ^ -(value & 1))
            value = shift = 0
    return counts
