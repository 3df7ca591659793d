"""Encoded images: valid ones of every kind and size, and damaged ones."""

import io

import numpy as np
from hypothesis import strategies as st
from PIL import Image

KINDS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
MODES = ("RGB", "L", "RGBA", "P", "CMYK", "I;16", "1")
MOST = 4096  # bytes of noise


def _encode(kind: str, mode: str, width: int, height: int) -> bytes:
    """A picture of some structure; empty where this kind cannot have that mode."""
    ramp = np.arange(width * height * 3, dtype=np.uint32) * 7 % 251
    picture = Image.fromarray(ramp.astype(np.uint8).reshape(height, width, 3))
    if mode == "I;16":
        picture = Image.fromarray(ramp[: width * height].astype(np.uint16).reshape(height, width))
    elif mode != "RGB":
        picture = picture.convert(mode)
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 1 + width % 8  # orientation
    try:
        picture.save(stream, kind, **({"exif": exif} if kind in ("JPEG", "WEBP") else {}))
    except (OSError, ValueError, KeyError):
        return b""
    return stream.getvalue()


SIZES = ((1, 1), (1, 300), (500, 2), (64, 48), (97, 31), (320, 240))
GOOD = tuple(
    data for kind in KINDS for mode in MODES for size in SIZES if (data := _encode(kind, mode, *size))
)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A good image with some bytes changed, cut out, put in or repeated."""
    data = bytearray(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, min(len(data) - 1, draw(st.sampled_from([40, 400, 10**6]))))))
        match draw(st.sampled_from(["set", "cut", "insert", "remove", "repeat"])):
            case "set":
                noise = draw(st.binary(min_size=1, max_size=8))
                data[place : place + len(noise)] = noise
            case "cut":
                del data[place:]
            case "insert":
                data[place:place] = draw(st.binary(max_size=40))
            case "remove":
                del data[place : place + draw(st.integers(1, 60))]
            case "repeat":
                data[place:place] = data[place : place + 200]
    return bytes(data)


SIZED = tuple(data for data in GOOD if data.startswith((b"\x89PNG", b"BM")))
CLAIMS = (0, 1, 7, 40_000, 2**16, 2**31 - 1, 2**31, 2**32 - 1)


@st.composite
def lying(draw: st.DrawFn) -> bytes:
    """A PNG or BMP whose header claims another size than its data has: a bomb, or the reverse."""
    data = bytearray(draw(st.sampled_from(SIZED)))
    place = 16 if data[0] == 0x89 else 18
    for offset in (place, place + 4):
        size = draw(st.sampled_from(CLAIMS))
        data[offset : offset + 4] = size.to_bytes(4, "big" if place == 16 else "little")
    return bytes(data)


images = st.one_of(st.sampled_from(GOOD), broken(), broken(), lying(), st.binary(max_size=MOST))
