"""JPEG segments: no size escapes the limits, and files that libjpeg would read differently are refused."""

import io
import struct
from typing import Any

import pytest
from PIL import Image

from service.errors import InvalidImage
from service.inference.jpeg import read_jpeg
from service.types import Size


def encode(size: tuple[int, int] = (37, 23), **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (9, 99, 199)).save(stream, "JPEG", **options)
    return stream.getvalue()


def last_scan(data: bytes) -> bytes:
    return data[data.rfind(b"\xff\xda") : -2]


def test_a_progressive_jpeg_with_a_long_colour_profile_gives_its_size() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (90, 60)).save(stream, "JPEG", progressive=True, icc_profile=bytes(300_000))
    assert read_jpeg(stream.getvalue()).size == Size(60, 90)


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture() -> None:
    thumbnail = encode((8, 8))
    stream = io.BytesIO()
    Image.effect_noise((300, 200), 80).save(stream, "JPEG", exif=b"Exif\0\0" + thumbnail)
    data = stream.getvalue()
    assert data.find(thumbnail) > 0
    assert read_jpeg(data).size == Size(200, 300)
    assert not read_jpeg(data[:-100]).ended


def test_what_cameras_append_to_a_jpeg_does_no_harm() -> None:
    assert read_jpeg(encode() + b"a video, or the like").size == Size(23, 37)


@pytest.mark.parametrize(
    "disguise",
    [
        pytest.param(b"\xff\x00\x00\x12", id="stuffed zero"),
        pytest.param(b"garbage", id="garbage"),
        pytest.param(b"\xff\xd8\xff\xd9", id="a second image"),
    ],
)
def test_a_jpeg_that_libjpeg_would_read_differently_is_refused(disguise: bytes) -> None:
    data = encode()
    with pytest.raises(InvalidImage, match="no readable frame header"):
        read_jpeg(data[:20] + disguise + data[20:])


def test_a_jpeg_of_millions_of_empty_segments_is_given_up_soon() -> None:
    with pytest.raises(InvalidImage, match="more than 2000 segments"):
        read_jpeg(b"\xff\xd8" + b"\xff\xfe\x00\x02" * 1_000_000)


HIDING = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"\xff\xfe\x00\x04\xff\xd9", id="an end in a comment"),
    pytest.param(b"\xff\xe5\x00\x06\x00\xff\xd9\x00", id="an end in an application segment"),
    pytest.param(b"\xff\xff\xff\xff\xfe\x00\x04\xff\xd9", id="fill bytes"),
    pytest.param(b"\xff\xdc\x00\x04\x00\x3c", id="a number of lines"),
    pytest.param(b"\xff\xd0garbage\xff\x00\xff\xd7", id="restart markers and garbage"),
]


@pytest.mark.parametrize("between", HIDING)
def test_scans_are_counted_whatever_stands_between_them(between: bytes) -> None:
    data = encode((90, 60), progressive=True)
    assert read_jpeg(data[:-2] + between + last_scan(data) + data[-2:]).size == Size(60, 90)
    with pytest.raises(InvalidImage, match="scans, too many for 90 x 60 pixels"):
        read_jpeg(data[:-2] + (between + last_scan(data)) * 50 + data[-2:])


def test_a_large_picture_may_have_fewer_scans() -> None:
    data = bytearray(encode((90, 60), progressive=True))
    at = data.find(b"\xff\xc2")
    data[at + 5 : at + 9] = struct.pack(">HH", 7000, 7000)
    large = bytes(data[:-2]) + bytes(100_000)
    assert read_jpeg(large + data[-2:]).size == Size(7000, 7000)
    with pytest.raises(InvalidImage, match="too many for 7000 x 7000"):
        read_jpeg(large + last_scan(bytes(data)) * 15 + data[-2:])


def test_a_picture_that_so_few_bytes_cannot_hold_is_refused() -> None:
    data = bytearray(encode((90, 60)))
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 7000, 7000)
    with pytest.raises(InvalidImage, match="truncated"):
        read_jpeg(bytes(data))


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (b"\xff\xc0\x00\x11\x08\x00\x08\x00\x08" + bytes(10), "more than one frame header"),
        (b"\xff\xd8", "corrupt"),
        (b"\xff\x02\x00\x02", "corrupt"),
        (b"\xff\xfe\x00\x01", "shorter than its own length"),
        (b"\xff\xfe\xff\xff", "truncated"),
        (b"\xff\xfe\x00\x02" * 3000, "more than 2000 segments"),
        (b"\xff\x01" * 1_000_000, "corrupt"),
    ],
)
def test_what_must_not_follow_a_scan_is_refused(tail: bytes, message: str) -> None:
    data = encode()
    with pytest.raises(InvalidImage, match=message):
        read_jpeg(data[:-2] + tail + data[-2:])


def test_millions_of_fill_bytes_are_passed_over_at_once() -> None:
    data, fill = encode(), b"\xff" * 15_000_000
    assert read_jpeg(data[:2] + fill + data[2:-2] + fill + data[-2:]).size == Size(23, 37)
    assert read_jpeg(data[:-2] + fill + b"\0" + data[-2:]).size == Size(23, 37)


@pytest.mark.parametrize("end", [0, 2, 3, 21, 160])
def test_a_jpeg_without_a_scan_is_refused(end: int) -> None:
    with pytest.raises((InvalidImage, IndexError, struct.error)):
        read_jpeg(encode()[:end])


def test_only_where_one_scan_holds_everything_may_the_end_marker_be_missing() -> None:
    plain, progressive = encode(), encode(progressive=True)
    assert read_jpeg(plain).ended
    assert not read_jpeg(plain[:-2]).ended
    with pytest.raises(InvalidImage, match="truncated"):
        read_jpeg(progressive[:-2])


def exif(value: int, order: str, *, tag: int = 0x0112) -> bytes:
    mark = {"<": b"II", ">": b"MM"}[order]
    entries = struct.pack(order + "HHHIHHHHIHH", 2, 0x0110, 3, 1, 7, 0, tag, 3, 1, value, 0)
    return b"Exif\0\0" + mark + struct.pack(order + "HI", 42, 8) + entries + bytes(4)


@pytest.mark.parametrize("order", "<>")
def test_it_is_known_whether_exif_turns_the_picture(order: str) -> None:
    assert read_jpeg(encode()).upright
    assert [read_jpeg(encode(exif=exif(value, order))).upright for value in (1, 6, 3)] == [True, False, False]
    assert read_jpeg(encode(exif=exif(6, order, tag=0x0111))).upright
    assert not read_jpeg(encode(exif=exif(1, order)[:-8])).upright  # cut: nobody knows
    assert not read_jpeg(encode(exif=b"Exif\0\0what is this?")).upright
