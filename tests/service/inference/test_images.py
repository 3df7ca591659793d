import contextlib
import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from service.errors import ImageTooLarge, InvalidImage
from service.inference.canvas import letterbox
from service.inference.images import Limits, choose_reduction, decode_for_canvas, decode_image
from service.types import Pixels, Size

LIMITS = Limits()
NEEDS_OPENCV_5 = pytest.mark.skipif(
    int(cv2.__version__.split(".")[0]) < 5, reason="OpenCV 4.11 reads no GIF, and no EXIF of WebP"
)
GIF = pytest.param("GIF", marks=NEEDS_OPENCV_5)
ROTATIONS: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: np.rot90(pixels),
}


def draw(height: int, width: int) -> Pixels:
    """Smooth, and different in every corner and channel."""
    rows, columns = np.mgrid[:height, :width]
    planes = [rows * 255 // height, columns * 255 // width, (rows + columns) * 255 // (height + width)]
    return np.stack(planes, axis=-1).astype(np.uint8)


def encode(picture: Image.Image, kind: str, exif: bytes | None = None) -> bytes:
    stream = io.BytesIO()
    exact = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {"lossless": True, "exact": True}
    picture.save(stream, kind, **exact, **({"exif": exif} if exif else {}))
    return stream.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def one_colour_png(height: int, width: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)  # one bit a pixel
    rows = zlib.compress(bytes((1 + (width + 7) // 8) * height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def orientation(value: int, order: str) -> bytes:
    mark = {"<": b"II", ">": b"MM"}[order]
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, value, 0)
    return b"Exif\0\0" + mark + struct.pack(order + "HIH", 42, 8, 1) + entry + bytes(4)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
def test_a_lossless_picture_comes_back_exactly(kind: str) -> None:
    pixels = draw(31, 47)
    assert (decode_image(encode(Image.fromarray(pixels), kind), LIMITS) == pixels).all()


def test_a_jpeg_comes_back_nearly() -> None:
    pixels = draw(31, 47)
    decoded = decode_image(encode(Image.fromarray(pixels), "JPEG"), LIMITS)
    assert decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - pixels).max() <= 4


@NEEDS_OPENCV_5
def test_a_gif_comes_back_in_its_palette() -> None:
    picture = Image.fromarray(draw(31, 47)).convert("P")
    assert (decode_image(encode(picture, "GIF"), LIMITS) == np.asarray(picture.convert("RGB"))).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", pytest.param("WEBP", marks=NEEDS_OPENCV_5)])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", ROTATIONS)
def test_exif_orientation_is_applied(kind: str, order: str, value: int) -> None:
    pixels = draw(24, 40)
    data = encode(Image.fromarray(pixels), kind, exif=orientation(value, order))
    decoded = decode_image(data, LIMITS)
    expected = ROTATIONS[value](pixels)
    assert decoded.shape == expected.shape
    assert np.abs(decoded.astype(int) - expected).max() <= 4
    assert decoded.shape[:2] == np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))).shape[:2]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", GIF])
def test_a_picture_of_one_pixel_is_a_picture(kind: str) -> None:
    data = encode(Image.new("RGB", (1, 1), (200, 100, 50)), kind)
    assert np.abs(decode_image(data, LIMITS).astype(int) - [[[200, 100, 50]]]).max() <= 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", GIF])
def test_a_grey_picture_becomes_rgb(kind: str) -> None:
    grey = draw(31, 47)[..., 0]
    decoded = decode_image(encode(Image.fromarray(grey), kind), LIMITS)
    assert decoded.shape == (31, 47, 3)
    assert np.abs(decoded.astype(int) - grey[..., None]).max() <= 2


def test_a_cmyk_jpeg_becomes_rgb() -> None:
    picture = Image.fromarray(draw(31, 47)).convert("CMYK")
    decoded = decode_image(encode(picture, "JPEG"), LIMITS)
    assert np.abs(decoded.astype(int) - np.asarray(picture.convert("RGB"))).max() <= 8


def test_a_16_bit_png_keeps_its_high_bytes() -> None:
    pixels = draw(31, 47)
    deep = pixels[..., ::-1].astype(np.uint16) * 256 + 77
    assert (decode_image(cv2.imencode(".png", deep)[1].tobytes(), LIMITS) == pixels).all()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_alpha_is_dropped_and_the_stored_colours_stay(kind: str) -> None:
    pixels = draw(31, 47)
    alpha = np.full((31, 47, 1), 60, np.uint8)
    data = encode(Image.fromarray(np.concatenate([pixels, alpha], axis=-1)), kind)
    assert (decode_image(data, LIMITS) == pixels).all()


@pytest.mark.parametrize("kind", [GIF, "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    first, second = Image.new("RGB", (20, 10), (250, 0, 0)), Image.new("RGB", (20, 10), (0, 0, 250))
    stream = io.BytesIO()
    first.save(stream, kind, save_all=True, append_images=[second], lossless=True)
    assert (decode_image(stream.getvalue(), LIMITS) == [250, 0, 0]).all()


def test_a_png_may_have_a_picture_for_those_who_show_no_animations() -> None:
    still, *frames = (Image.fromarray(draw(20, 30) // divisor) for divisor in (1, 2, 3))
    stream = io.BytesIO()
    still.save(stream, "PNG", save_all=True, append_images=frames, default_image=True)
    assert (decode_image(stream.getvalue(), LIMITS) == draw(20, 30)).all()


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    bomb = one_colour_png(20_000, 20_000)
    assert len(bomb) < 100_000
    with pytest.raises(ImageTooLarge, match="20000 x 20000"):
        decode_image(bomb, LIMITS)
    broken = bomb.replace(b"IDAT", b"NONE")  # nothing in it could be decoded
    with pytest.raises(ImageTooLarge):
        decode_image(broken, LIMITS)


def test_the_limit_itself_is_accepted_and_one_more_is_not() -> None:
    data = one_colour_png(100, 50)
    assert decode_image(data, Limits(max_bytes=len(data), max_pixels=5000)).shape == (100, 50, 3)
    with pytest.raises(ImageTooLarge, match="4999"):
        decode_image(data, Limits(max_pixels=4999))
    with pytest.raises(ImageTooLarge, match="bytes"):
        decode_image(data, Limits(max_bytes=len(data) - 1))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", GIF])
def test_a_picture_with_pixels_missing_is_refused_wherever_it_is_cut(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    data = encode(Image.fromarray(noise), kind)
    whole = decode_image(data, LIMITS)
    for missing in [1, 2, 3, *range(4, len(data), max(1, len(data) // 50))]:
        try:
            found = decode_image(data[:-missing], LIMITS)
        except InvalidImage:
            continue
        assert missing <= {"JPEG": 2, "GIF": 1}[kind], "more than the end marker is missing"
        assert np.array_equal(found, whole)


@pytest.mark.parametrize("tail", [b"", b"\xff", b"\xa5\x01\x02\x03\x04\x05\x06\x07"])
def test_a_jpeg_may_lack_its_end_marker_where_all_of_its_rows_are_there(tail: bytes) -> None:
    data = encode(Image.fromarray(draw(40, 60)), "JPEG")
    assert np.array_equal(decode_image(data[:-2] + tail, LIMITS), decode_image(data, LIMITS))
    assert np.array_equal(
        decode_for_canvas(data[:-2] + tail, LIMITS, Size(8, 8)).pixels,
        decode_for_canvas(data, LIMITS, Size(8, 8)).pixels,
    )


def test_a_corrupt_picture_is_refused() -> None:
    data = one_colour_png(100, 50)
    with pytest.raises(InvalidImage, match="corrupt"):
        decode_image(data.replace(b"\x78\x9c", b"\x00\x00"), LIMITS)


SEEDS = [encode(Image.fromarray(draw(20, 30)), kind) for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF")]


@pytest.mark.parametrize("before_the_picture", [True, False])
@pytest.mark.parametrize("kind", [b"tEXt", b"iCCP", b"gAMA", b"tRNS", b"PLTE", b"eXIf", b"fcTL", b"IDAT"])
def test_nobody_fills_the_log_with_what_libpng_thinks_of_a_picture(
    kind: bytes, before_the_picture: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    png = encode(Image.fromarray(draw(8, 8)), "PNG")
    at = 33 if before_the_picture else len(png) - 12
    with contextlib.suppress(InvalidImage):
        assert decode_image(png[:at] + chunk(kind, b"") * 1000 + png[at:], LIMITS).shape == (8, 8, 3)
    assert len(capfd.readouterr().err.splitlines()) <= 2


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_mutated_picture_gives_pixels_or_a_refusal(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from(SEEDS)))
    for at, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)), max_size=8)
    ):
        body[at] = value
    with contextlib.suppress(InvalidImage, ImageTooLarge):
        assert decode_image(bytes(body), Limits(max_pixels=1_000_000)).shape[2] == 3


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidImage):
        decode_image(data, LIMITS)


@pytest.mark.parametrize(
    ("stored", "canvas", "upright", "turned"),
    [
        ((720, 1280), (320, 320), 4, 4),
        ((480, 640), (320, 320), 2, 2),
        ((3024, 4032), (320, 320), 8, 8),
        ((3001, 4001), (320, 320), 8, 1),
        ((8000, 8000), (320, 320), 8, 8),
        ((640, 640), (320, 640), 2, 2),
        ((641, 1280), (320, 320), 4, 1),
        ((642, 1282), (320, 320), 4, 2),
        ((318, 318), (320, 320), 1, 1),
        ((319, 639), (320, 320), 1, 1),
        ((480, 1280), (120, 320), 4, 4),
        ((1, 1), (320, 320), 1, 1),
    ],
)
def test_a_jpeg_is_reduced_as_far_as_it_still_covers_the_canvas(
    stored: tuple[int, int], canvas: tuple[int, int], upright: int, turned: int
) -> None:
    assert choose_reduction(Size(*stored), Size(*canvas), upright=True) == upright
    assert choose_reduction(Size(*stored), Size(*canvas), upright=False) == turned


@given(
    stored=st.builds(Size, st.integers(1, 5000), st.integers(1, 5000)),
    canvas=st.builds(Size, st.integers(32, 640), st.integers(32, 640)),
    upright=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_a_reduced_picture_is_never_grown(stored: Size, canvas: Size, upright: bool) -> None:
    reduction = choose_reduction(stored, canvas, upright=upright)
    if reduction == 1:
        return
    assert upright or stored.height % reduction == stored.width % reduction == 0
    for sides in ((stored.height, stored.width), (stored.width, stored.height)):
        fit = min(canvas.height / sides[0], canvas.width / sides[1])
        assert round(sides[0] * fit) <= -(-sides[0] // reduction)
        assert round(sides[1] * fit) <= -(-sides[1] // reduction)


@pytest.mark.parametrize("turn", ROTATIONS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_a_reduced_jpeg_lies_on_the_canvas_as_the_full_one_does(turn: int, mode: str, reduction: int) -> None:
    encoded = Image.fromarray(draw(64 * reduction, 48 * reduction)).convert(mode)
    data = encode(encoded, "JPEG", orientation(turn, "<"))
    canvas = Size(64, 64)
    full = decode_image(data, LIMITS)
    picture = decode_for_canvas(data, LIMITS, canvas)
    assert (picture.image, picture.reduction) == (Size(*full.shape[:2]), reduction)
    assert picture.pixels.shape == (full.shape[0] // reduction, full.shape[1] // reduction, 3)
    expected, placement = letterbox(full, canvas)
    found, found_placement = letterbox(picture.pixels, canvas, picture.image, reduction=picture.reduction)
    assert found_placement == placement
    assert np.abs(found.astype(int) - expected).max() <= 6


@pytest.mark.parametrize("turn", ROTATIONS)
@pytest.mark.parametrize("sides", [(517, 643), (512, 645), (1021, 1023), (801, 803)])
def test_no_part_of_a_jpeg_of_odd_sides_is_misplaced(turn: int, sides: tuple[int, int]) -> None:
    """Squares of 32 pixels: their edges on the canvas, by the placement, are where they are in the image."""
    rows, columns = np.mgrid[: sides[0], : sides[1]]
    squares = np.where((rows // 32 + columns // 32) % 2, 255, 0).astype(np.uint8)
    data = encode(Image.fromarray(np.stack([squares] * 3, axis=-1)), "JPEG", orientation(turn, "<"))
    canvas = Size(128, 128)
    full, picture = decode_image(data, LIMITS), decode_for_canvas(data, LIMITS, canvas)
    assert picture.image == Size(*full.shape[:2])
    assert (picture.reduction > 1) == (turn == 1)
    found, placement = letterbox(picture.pixels, canvas, picture.image, reduction=picture.reduction)
    points = (np.mgrid[: placement.placed.height, : placement.placed.width] + 0.5).reshape(2, -1).T
    y, x = (points / [placement.scale_y, placement.scale_x]).astype(int).T
    inside = (x < picture.image.width) & (y < picture.image.height)
    expected = cv2.blur(full, (9, 9))[y[inside], x[inside], 0].astype(int)
    shown = found[: placement.placed.height, : placement.placed.width, 0].reshape(-1)[inside].astype(int)
    assert np.corrcoef(expected, shown)[0, 1] > 0.9


def test_a_progressive_jpeg_is_reduced_as_well() -> None:
    stream = io.BytesIO()
    Image.fromarray(draw(256, 256)).save(stream, "JPEG", quality=95, progressive=True)
    picture = decode_for_canvas(stream.getvalue(), LIMITS, Size(64, 64))
    assert (picture.pixels.shape, picture.image) == ((64, 64, 3), Size(256, 256))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
def test_what_is_no_jpeg_is_decoded_in_full(kind: str) -> None:
    data = encode(Image.fromarray(draw(256, 256)), kind)
    picture = decode_for_canvas(data, LIMITS, Size(64, 64))
    assert (picture.image, picture.reduction) == (Size(256, 256), 1)
    assert (picture.pixels == decode_image(data, LIMITS)).all()


def test_a_reduced_jpeg_has_the_limits_of_the_full_one() -> None:
    data = encode(Image.fromarray(draw(256, 256)), "JPEG")
    with pytest.raises(ImageTooLarge, match="256 x 256 pixels"):
        decode_for_canvas(data, Limits(max_pixels=256 * 256 - 1), Size(64, 64))
    with pytest.raises(ImageTooLarge, match="bytes"):
        decode_for_canvas(data, Limits(max_bytes=len(data) - 1), Size(64, 64))
    for broken in (data[:-40], data[:200], b""):
        with pytest.raises(InvalidImage):
            decode_for_canvas(broken, LIMITS, Size(64, 64))


SHORT_OF_MEMORY = """
import resource, sys
from service.errors import BlitzError
from service.inference.images import Limits, decode_image
in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + 100_000_000,) * 2)
try:
    decode_image(sys.stdin.buffer.read(), Limits())
except BlitzError as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.parametrize(("kind", "options"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {})])
def test_running_out_of_memory_is_no_fault_of_the_picture(kind: str, options: dict[str, bool]) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (6000, 6000)).save(stream, kind, **options)
    program = [sys.executable, "-c", SHORT_OF_MEMORY]
    ended = subprocess.run(program, input=stream.getvalue(), capture_output=True, check=True)
    assert ended.stdout == b"OutOfMemory\n"
