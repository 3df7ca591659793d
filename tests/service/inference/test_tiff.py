"""TIFF: the pictures of usual programs are read, and headers that could hide a bomb are refused."""

import contextlib
import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from service.errors import ImageTooLarge, InvalidImage, RequestError
from service.inference.images import Limits, decode_image
from service.inference.tiff import read_tiff
from service.types import Pixels, Size

LIMITS = Limits(max_bytes=1_000_000, max_pixels=1_000_000)


def draw(height: int = 31, width: int = 47) -> Pixels:
    return (np.arange(height * width * 3) * 7 % 251).astype(np.uint8).reshape(height, width, 3)


def write(pixels: Pixels, compression: str | None = None) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "TIFF", compression=compression)
    return out.getvalue()


def write_tiled(*fields: tuple[int, int, int], side: int = 16) -> bytes:
    """A TIFF of one grey tile of 16 x 16 pixels; `fields` replace its own: tag, kind, value."""
    tile = zlib.compress(bytes(range(256)))
    known = {256: side, 257: side, 258: 8, 259: 8, 262: 1, 277: 1, 322: 16, 323: 16}
    known |= {325: len(tile), 324: 14 + 12 * (len(known) + 2)}
    entries = {tag: (4 if value > 65_535 else 3, value) for tag, value in known.items()}
    entries |= {tag: (kind, value) for tag, kind, value in fields}
    body = b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in sorted(entries.items())
    )
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4) + tile


TIFF = write(draw(), "tiff_lzw")


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_a_lossless_picture_comes_back_exactly(compression: str | None) -> None:
    assert np.array_equal(decode_image(write(draw(), compression), LIMITS), draw())


def test_a_tile_comes_back() -> None:
    decoded = decode_image(write_tiled(), LIMITS)
    assert np.array_equal(decoded[..., 0], np.arange(256, dtype=np.uint8).reshape(16, 16))


def test_16_bits_become_8() -> None:
    deep = draw().astype(np.uint16) * 257
    data = cv2.imencode(".tiff", deep[..., ::-1])[1].tobytes()
    assert np.abs(decode_image(data, LIMITS).astype(int) - draw()).max() <= 1


def test_of_several_pages_the_first_is_taken() -> None:
    out = io.BytesIO()
    Image.fromarray(draw()).save(out, "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))])
    assert decode_image(out.getvalue(), LIMITS).shape == (31, 47, 3)


def test_a_large_picture_is_refused_by_its_header() -> None:
    with pytest.raises(ImageTooLarge, match="60000 x 60000"):
        decode_image(write_tiled(side=60_000), LIMITS)


def test_a_tile_larger_than_its_picture_is_a_large_picture() -> None:
    data = write_tiled((322, 4, 1 << 20), (323, 4, 1 << 20))
    assert read_tiff(data) == Size(1 << 20, 1 << 20)
    with pytest.raises(ImageTooLarge):
        decode_image(data, LIMITS)


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ((277, 4, 40), "samples"),
        ((258, 4, 128), "bits"),
        ((259, 4, 6), "old kind"),
        ((256, 9, 16), "no whole number"),
        ((325, 4, 1 << 30), "cut off"),
    ],
)
def test_what_could_be_larger_than_it_says_is_refused(field: tuple[int, int, int], reason: str) -> None:
    with pytest.raises(InvalidImage, match=reason):
        decode_image(write_tiled(field), LIMITS)


def test_one_that_is_cut_off_is_refused() -> None:
    for end in range(8, len(TIFF), 13):
        with pytest.raises(InvalidImage):
            decode_image(TIFF[:end], LIMITS)


@given(place=st.integers(0, len(TIFF) - 1), value=st.integers(0, 255))
def test_a_damaged_one_gives_pixels_or_the_caller_s_error(place: int, value: int) -> None:
    with contextlib.suppress(RequestError):
        decode_image(TIFF[:place] + bytes([value]) + TIFF[place + 1 :], LIMITS)
