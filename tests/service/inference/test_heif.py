"""HEIC and AVIF: decoded as they are meant to be seen, and refused where their containers say odd things.

`quarters.heic` and `quarters-turned.heic` have 80 x 48 pixels: red, green, black and blue. pillow-heif
wrote them, the second one with EXIF orientation 6. `ramp.heic` has 50 x 40 pixels: its decoder pads the rows.
"""

import contextlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from service.errors import ImageTooLarge, InvalidImage, RequestError, UnsupportedMedia
from service.inference import heif
from service.inference.heif import read_heif
from service.inference.images import Limits, decode_image
from service.types import Pixels, Size

HERE = Path(__file__).parent
PLAIN, TURNED = (HERE / name for name in ("quarters.heic", "quarters-turned.heic"))
LIMITS = Limits(max_bytes=1_000_000, max_pixels=1_000_000)


def draw_quarters() -> Pixels:
    pixels = np.zeros((48, 80, 3), np.uint8)
    pixels[:24, :40], pixels[:24, 40:], pixels[24:, 40:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    return pixels


def write_avif(orientation: int | None = None) -> bytes:
    out, exif = io.BytesIO(), Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.fromarray(draw_quarters()).save(out, "AVIF", quality=95, exif=exif.tobytes())
    return out.getvalue()


AVIF = write_avif()
TURNS = {1: 0, 3: 2, 6: 3, 8: 1}  # EXIF's orientation: quarter turns against the clock


def is_like(one: Pixels, other: Pixels) -> bool:
    """Whether nearly all pixels are the same; colours bleed a little where two meet."""
    return one.shape == other.shape and (np.abs(one.astype(int) - other).max(axis=2) < 32).mean() > 0.9


def test_a_heic_comes_back_nearly() -> None:
    pytest.importorskip("pi_heif")
    assert is_like(decode_image(PLAIN.read_bytes(), LIMITS), draw_quarters())


def test_the_rows_of_a_heic_of_any_width_are_in_line() -> None:
    pytest.importorskip("pi_heif")
    ramp = np.repeat(np.arange(40)[:, None] * 3, 50, axis=1)
    decoded = decode_image((HERE / "ramp.heic").read_bytes(), LIMITS)
    assert np.abs(decoded.astype(int) - np.dstack([ramp, ramp, 255 - ramp])).mean() < 3


def test_a_heic_is_turned_as_its_container_says() -> None:
    pytest.importorskip("pi_heif")
    assert is_like(decode_image(TURNED.read_bytes(), LIMITS), np.rot90(draw_quarters(), 3))


@pytest.mark.parametrize("orientation", TURNS)
def test_an_avif_is_turned_as_its_container_says(orientation: int) -> None:
    decoded = decode_image(write_avif(orientation), LIMITS)
    assert is_like(decoded, np.rot90(draw_quarters(), TURNS[orientation]))


def test_the_header_is_read_without_the_pixels() -> None:
    assert read_heif(PLAIN.read_bytes()) == heif.HeifHeader("HEIC", Size(64, 80))  # 48 rows are seen
    assert read_heif(TURNED.read_bytes()).turns == 3
    assert read_heif(AVIF) == heif.HeifHeader("AVIF", Size(48, 80))


@pytest.mark.parametrize("data", [PLAIN.read_bytes(), AVIF], ids=["HEIC", "AVIF"])
def test_a_bomb_is_refused_by_its_header(data: bytes) -> None:
    claim = b"ispe" + bytes(4) + struct.pack(">II", 80, read_heif(data).size.height)
    assert claim in data
    bomb = data.replace(claim, b"ispe" + bytes(4) + struct.pack(">II", 60_000, 60_000))
    with pytest.raises(ImageTooLarge, match="60000 x 60000"):
        decode_image(bomb, LIMITS)


@pytest.mark.parametrize("data", [PLAIN.read_bytes(), AVIF], ids=["HEIC", "AVIF"])
def test_one_that_is_cut_off_is_refused(data: bytes) -> None:
    for end in range(20, len(data), 7):
        with pytest.raises(InvalidImage):
            decode_image(data[:end], LIMITS)


@given(place=st.integers(0, len(AVIF) - 1), value=st.integers(0, 255))
def test_a_damaged_one_gives_pixels_or_the_caller_s_error(place: int, value: int) -> None:
    damaged = AVIF[:place] + bytes([value]) + AVIF[place + 1 :]
    with contextlib.suppress(RequestError):
        decode_image(damaged, LIMITS)


def test_without_the_extra_heic_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heif, "pi_heif", None)
    with pytest.raises(UnsupportedMedia, match="extra heif"):
        decode_image(PLAIN.read_bytes(), LIMITS)
