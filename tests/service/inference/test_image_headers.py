import contextlib
import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from service.errors import InvalidImage
from service.inference.image_headers import ACCEPTED, keep_picture, read_header
from service.types import Size

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")


def encode(kind: str, size: tuple[int, int] = (37, 23)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (9, 99, 199)).save(stream, kind, lossless=True)
    return stream.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
@given(width=st.integers(1, 700), height=st.integers(1, 700))
def test_the_header_gives_the_size_that_was_encoded(kind: str, width: int, height: int) -> None:
    assert read_header(encode(kind, (width, height))).size == Size(height, width)


def test_a_lossy_and_an_extended_webp_give_their_size_too() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (300, 200)).save(stream, "WEBP", quality=50)
    assert read_header(stream.getvalue()).size == Size(200, 300)
    stream = io.BytesIO()
    Image.new("RGB", (300, 200)).save(stream, "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0")
    assert stream.getvalue()[12:16] == b"VP8X"
    assert read_header(stream.getvalue()).size == Size(200, 300)


def test_a_bitmap_stored_top_row_first_has_a_positive_height() -> None:
    header = b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 64, -48, 1, 1, 0)
    assert read_header(header + bytes(48 * 8)).size == Size(48, 64)


def test_a_bitmap_with_the_oldest_header_gives_its_size() -> None:
    header = b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 64, 48, 1, 1)
    assert read_header(header + bytes(48 * 8)).size == Size(48, 64)


@pytest.mark.parametrize("data", [b"%PDF-1.7", b"<svg/>", b"\0" * 100, b"GIF87", b"RIFF\0\0\0\0WAVE"])
def test_what_is_no_accepted_format_is_refused_with_the_list_of_those_that_are(data: bytes) -> None:
    with pytest.raises(InvalidImage, match=f"send {ACCEPTED}"):
        read_header(data)


def test_an_empty_body_is_refused_as_such() -> None:
    with pytest.raises(InvalidImage, match="is empty"):
        read_header(b"")


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP"])
def test_a_header_that_claims_no_pixels_is_refused(kind: str) -> None:
    at, count = {"PNG": (16, 4), "GIF": (6, 2), "BMP": (18, 4)}[kind]
    data = encode(kind)
    with pytest.raises(InvalidImage, match="no pixels"):
        read_header(data[:at] + bytes(count) + data[at + count :])


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
def test_an_image_cut_anywhere_is_refused(kind: str) -> None:
    data = encode(kind, (30, 20))
    for end in range(len(data)):
        with pytest.raises(InvalidImage):
            read_header(data[:end])


def test_a_png_chunk_that_claims_gigabytes_is_refused() -> None:
    data = encode("PNG")
    at = data.find(b"IDAT") - 4
    with pytest.raises(InvalidImage, match="truncated"):
        read_header(data[:at] + b"\xff" + data[at + 1 :])


def test_a_png_of_a_million_empty_chunks_is_given_up_soon() -> None:
    data = encode("PNG")
    with pytest.raises(InvalidImage, match="chunks"):
        read_header(data[:33] + b"\0\0\0\0teXt\0\0\0\0" * 200_000 + data[33:])


@given(
    st.binary(max_size=60),
    st.sampled_from([b"\xff\xd8\xff", b"BM", b"GIF89a", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"]),
)
def test_garbage_behind_a_signature_gives_a_size_or_a_refusal(tail: bytes, head: bytes) -> None:
    with contextlib.suppress(InvalidImage):
        header = read_header(head + tail)
        assert header.size.pixels > 0
        keep_picture(head + tail, header)


def test_a_gif_whose_canvas_no_data_could_fill_is_refused() -> None:
    frame = b"!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"
    colours = b"\x80\0\0\0\0\0\xff\xff\xff"
    assert read_header(b"GIF89a" + struct.pack("<HH", 300, 300) + colours + frame).size == Size(300, 300)
    with pytest.raises(InvalidImage, match="too few bytes for 7000 x 7000 pixels"):
        read_header(b"GIF89a" + struct.pack("<HH", 7000, 7000) + colours + frame)


@pytest.mark.parametrize("compression", [0, 1])
def test_a_bitmap_without_the_bytes_of_its_pixels_is_refused(compression: int) -> None:
    sides = struct.pack("<IiiHHI", 40, 7000, 7000, 1, 8, compression)
    with pytest.raises(InvalidImage, match="truncated"):
        read_header(b"BM" + bytes(12) + sides + bytes(1050))


def encode_animation(kind: str, count: int) -> bytes:
    stream = io.BytesIO()
    frames = [Image.new("RGB", (40, 30), (9 + number, 99, 199)) for number in range(count)]
    frames[0].save(stream, kind, save_all=True, append_images=frames[1:], lossless=True)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_only_the_first_frame_reaches_the_decoder(kind: str) -> None:
    data = encode_animation(kind, 40)
    kept = keep_picture(data, read_header(data))
    assert len(kept) < len(encode_animation(kind, 2))
    picture = Image.open(io.BytesIO(kept))
    assert getattr(picture, "n_frames", 1) == 1
    assert np.array_equal(
        np.array(picture.convert("RGB")), np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    )


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_an_image_of_a_million_empty_blocks_is_given_up_soon(kind: str) -> None:
    data = encode_animation(kind, 2)
    at, block = {"GIF": (13, b"!\xfe\x01a\0"), "WEBP": (30, b"junk\0\0\0\0")}[kind]
    if kind == "GIF":
        at += 3 << (data[10] & 7) + 1
    data = data[:at] + block * 1_000_000 + data[at:]
    if kind == "WEBP":
        data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    with pytest.raises(InvalidImage, match="too many"):
        keep_picture(data, read_header(data))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_plain_picture_reaches_the_decoder_as_it_is(kind: str) -> None:
    data = encode(kind)
    assert keep_picture(data, read_header(data)) == data
