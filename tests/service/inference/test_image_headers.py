import contextlib
import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from service.errors import InvalidImage
from service.inference.image_headers import read_size
from service.types import Size

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")


def encode(kind: str, size: tuple[int, int] = (37, 23)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (9, 99, 199)).save(stream, kind, lossless=True)
    return stream.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
@given(width=st.integers(1, 700), height=st.integers(1, 700))
def test_the_header_gives_the_size_that_was_encoded(kind: str, width: int, height: int) -> None:
    assert read_size(encode(kind, (width, height))) == Size(height, width)


def test_a_lossy_and_an_extended_webp_give_their_size_too() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (300, 200)).save(stream, "WEBP", quality=50)
    assert read_size(stream.getvalue()) == Size(200, 300)
    stream = io.BytesIO()
    Image.new("RGB", (300, 200)).save(stream, "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0")
    assert stream.getvalue()[12:16] == b"VP8X"
    assert read_size(stream.getvalue()) == Size(200, 300)


def test_a_progressive_jpeg_with_a_long_colour_profile_gives_its_size() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (90, 60)).save(stream, "JPEG", progressive=True, icc_profile=bytes(300_000))
    assert read_size(stream.getvalue()) == Size(60, 90)


def test_a_bitmap_stored_top_row_first_has_a_positive_height() -> None:
    header = b"BM" + bytes(12) + struct.pack("<Iii", 40, 64, -48)
    assert read_size(header) == Size(48, 64)


def test_a_bitmap_with_the_oldest_header_gives_its_size() -> None:
    assert read_size(b"BM" + bytes(12) + struct.pack("<IHH", 12, 64, 48)) == Size(48, 64)


@pytest.mark.parametrize(
    "data", [b"%PDF-1.7", b"<svg/>", b"II*\0rest of a TIFF", b"\0" * 100, b"GIF87", b"RIFF\0\0\0\0WAVE"]
)
def test_what_is_no_accepted_format_is_refused_with_the_list_of_those_that_are(data: bytes) -> None:
    with pytest.raises(InvalidImage, match="JPEG, PNG, WebP, BMP or GIF"):
        read_size(data)


def test_an_empty_body_is_refused_as_such() -> None:
    with pytest.raises(InvalidImage, match="is empty"):
        read_size(b"")


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP"])
def test_a_header_that_claims_no_pixels_is_refused(kind: str) -> None:
    at, count = {"PNG": (16, 4), "GIF": (6, 2), "BMP": (18, 4)}[kind]
    data = encode(kind)
    with pytest.raises(InvalidImage, match="no pixels"):
        read_size(data[:at] + bytes(count) + data[at + count :])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_image_cut_anywhere_is_refused(kind: str) -> None:
    data = encode(kind, (300, 200))
    for end in range(len(data)):
        with pytest.raises(InvalidImage):
            read_size(data[:end])


def test_a_jpeg_cut_behind_its_thumbnail_is_refused() -> None:
    thumbnail = encode("JPEG", (8, 8))
    stream = io.BytesIO()
    Image.effect_noise((300, 200), 80).save(stream, "JPEG", exif=b"Exif\0\0" + thumbnail)
    data = stream.getvalue()
    assert data.find(thumbnail) > 0
    assert read_size(data) == Size(200, 300)
    with pytest.raises(InvalidImage, match="truncated"):
        read_size(data[:-100])


def test_what_cameras_append_to_a_jpeg_does_no_harm() -> None:
    assert read_size(encode("JPEG") + b"a video, or the like") == Size(23, 37)


@pytest.mark.parametrize(
    "disguise",
    [
        pytest.param(b"\xff\x00\x00\x12", id="stuffed zero"),
        pytest.param(b"garbage", id="garbage"),
        pytest.param(b"\xff\xd8\xff\xd9", id="a second image"),
    ],
)
def test_a_jpeg_that_libjpeg_would_read_differently_is_refused(disguise: bytes) -> None:
    data = encode("JPEG")
    with pytest.raises(InvalidImage, match="no readable frame header"):
        read_size(data[:20] + disguise + data[20:])


def test_a_jpeg_of_millions_of_empty_segments_is_given_up_soon() -> None:
    with pytest.raises(InvalidImage, match="no readable frame header"):
        read_size(b"\xff\xd8" + b"\xff\xfe\x00\x02" * 1_000_000)


def test_a_jpeg_of_thousands_of_scans_is_refused() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (90, 60)).save(stream, "JPEG", progressive=True)
    data = stream.getvalue()
    assert read_size(data) == Size(60, 90)
    scan = data[data.rfind(b"\xff\xda") : -2]
    with pytest.raises(InvalidImage, match="scans"):
        read_size(data[:-2] + scan * 2000 + data[-2:])


def test_a_png_chunk_that_claims_gigabytes_is_refused() -> None:
    data = encode("PNG")
    at = data.find(b"IDAT") - 4
    with pytest.raises(InvalidImage, match="truncated"):
        read_size(data[:at] + b"\xff" + data[at + 1 :])


def test_a_png_of_a_million_empty_chunks_is_given_up_soon() -> None:
    data = encode("PNG")
    with pytest.raises(InvalidImage, match="chunks"):
        read_size(data[:33] + b"\0\0\0\0teXt\0\0\0\0" * 200_000 + data[33:])


@given(
    st.binary(max_size=60),
    st.sampled_from([b"\xff\xd8\xff", b"BM", b"GIF89a", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"]),
)
def test_garbage_behind_a_signature_gives_a_size_or_a_refusal(tail: bytes, head: bytes) -> None:
    with contextlib.suppress(InvalidImage):
        assert read_size(head + tail).pixels > 0
