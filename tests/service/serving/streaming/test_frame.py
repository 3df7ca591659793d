import cv2
import numpy as np
import pytest

from service.errors import ImageTooLarge, InvalidImage
from service.inference.golden import draw_picture
from service.inference.images import Limits
from service.serving.streaming import RawFormat, RawImage, raw_to_pixels
from service.types import Size

SIZE = Size(64, 96)
PICTURE = cv2.GaussianBlur(draw_picture(SIZE, seed=3), (9, 9), 0).astype(np.uint8)


def test_rgb_is_taken_as_it_is() -> None:
    assert np.array_equal(raw_to_pixels(RawImage("rgb", SIZE, PICTURE.tobytes()), Limits()), PICTURE)


def test_bgr_is_turned_round() -> None:
    data = np.ascontiguousarray(PICTURE[..., ::-1]).tobytes()
    pixels = raw_to_pixels(RawImage("bgr", SIZE, data), Limits())
    assert np.array_equal(pixels, PICTURE)
    assert pixels.flags.c_contiguous


def test_i420_has_half_the_colour_but_shows_the_same() -> None:
    planes = cv2.cvtColor(PICTURE, cv2.COLOR_RGB2YUV_I420)
    pixels = raw_to_pixels(RawImage("i420", SIZE, planes.tobytes()), Limits())
    assert pixels.shape == PICTURE.shape
    assert np.abs(pixels.astype(int) - PICTURE).mean() < 6


def test_i420_of_one_colour_is_that_colour() -> None:
    data = bytes([82] * 16 + [90] * 4 + [240] * 4)  # red, ITU-R BT.601
    pixels = raw_to_pixels(RawImage("i420", Size(4, 4), data), Limits())
    assert np.abs(pixels.astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("layout", ["rgb", "bgr", "i420"])
@pytest.mark.parametrize("data", [b"", b"\0", bytes(64 * 96 * 3 + 1), bytes(64 * 96 * 2)])
def test_data_that_do_not_fill_the_size_are_refused(layout: RawFormat, data: bytes) -> None:
    with pytest.raises(InvalidImage, match=f"96 x 64 {layout} is .* bytes without padding, got {len(data)}"):
        raw_to_pixels(RawImage(layout, SIZE, data), Limits())


@pytest.mark.parametrize("size", [Size(3, 4), Size(4, 3)])
def test_i420_of_an_odd_size_is_refused(size: Size) -> None:
    with pytest.raises(InvalidImage, match="even width and height"):
        raw_to_pixels(RawImage("i420", size, bytes(18)), Limits())


def test_more_pixels_than_allowed_are_refused() -> None:
    with pytest.raises(ImageTooLarge, match="96 x 64"):
        raw_to_pixels(RawImage("rgb", SIZE, PICTURE.tobytes()), Limits(max_pixels=64 * 96 - 1))
