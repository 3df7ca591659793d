"""Images of every kind, over both transports: the right answer or a clear refusal, and the server goes on."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.contract.conftest import Ask
from tests.fakes import encode_picture

HEIGHT, WIDTH = 30, 60


def one_colour_png(side: int) -> bytes:
    """A white square, one bit per pixel: a few kilobytes for any side."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    packer, row = zlib.compressobj(), b"\0" + b"\xff" * ((side + 7) // 8)
    rows = b"".join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def pillow(mode: str, kind: str, *, orientation: int = 1) -> bytes:
    """A picture in a colour mode of Pillow's."""
    picture, exif = Image.new(mode, (WIDTH, HEIGHT), 0), Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    picture.save(stream, kind, exif=exif)
    return stream.getvalue()


def deep_png() -> bytes:
    _, encoded = cv2.imencode(".png", np.full((HEIGHT, WIDTH, 3), 40_000, np.uint16))
    return encoded.tobytes()


GOOD = {
    "jpeg": encode_picture(WIDTH, HEIGHT, ".jpg"),
    "png": encode_picture(WIDTH, HEIGHT, ".png"),
    "webp": encode_picture(WIDTH, HEIGHT, ".webp"),
    "bmp": encode_picture(WIDTH, HEIGHT, ".bmp"),
    "grey": pillow("L", "JPEG"),
    "cmyk": pillow("CMYK", "JPEG"),
    "16 bit": deep_png(),
    "alpha": pillow("RGBA", "PNG"),
    "palette": pillow("P", "PNG"),
}

BAD = {
    "text": b"this is not an image",
    "html": b"<!doctype html><html></html>",
    "zeros": bytes(1000),
    "a JPEG's first bytes": encode_picture(suffix=".jpg")[:20],
    "half a JPEG": encode_picture(300, 200, ".jpg")[:4000],
    "half a PNG": encode_picture(300, 200, ".png")[:1000],
    "a PNG of 20,000 x 20,000": one_colour_png(20_000),
    "more bytes than allowed": encode_picture() + bytes(1_000_000),
    "nothing": b"",
}


@pytest.fixture(params=["ask_rest", "ask_grpc"])
def ask(request: pytest.FixtureRequest) -> Ask:
    found: Ask = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("image", GOOD.values(), ids=GOOD.keys())
async def test_images_of_every_kind_are_read(ask: Ask, image: bytes) -> None:
    content = (await ask(image)).content
    assert content is not None
    assert content["image"] == {"height": HEIGHT, "width": WIDTH}
    assert len(content["instances"]) == 1


async def test_a_single_pixel_is_an_image(ask: Ask) -> None:
    content = (await ask(encode_picture(1, 1))).content
    assert content is not None
    assert content["image"] == {"height": 1, "width": 1}
    assert content["instances"][0]["segmentation"]["size"] == [1, 1]


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_coordinates_are_those_of_the_image_as_it_is_seen(ask: Ask, orientation: int) -> None:
    content = (await ask(pillow("RGB", "JPEG", orientation=orientation))).content
    assert content is not None
    seen = (HEIGHT, WIDTH) if orientation < 5 else (WIDTH, HEIGHT)
    assert content["image"] == {"height": seen[0], "width": seen[1]}
    assert content["instances"][0]["segmentation"]["size"] == list(seen)


@pytest.mark.parametrize("image", BAD.values(), ids=BAD.keys())
async def test_what_is_no_image_is_refused_clearly_and_the_server_goes_on(ask: Ask, image: bytes) -> None:
    reply = await ask(image)
    assert reply.refusal in ("mend", "RESOURCE_EXHAUSTED")
    assert len(reply.text) > 10
    assert (await ask(GOOD["jpeg"])).content is not None
