from typing import Literal

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.inference.canvas import letterbox, place_picture
from service.inference.card import Input
from service.inference.images import Picture
from service.types import Pixels, Size


def draw(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def show(pixels: Pixels) -> Picture:
    return Picture(pixels, Size(*pixels.shape[:2]))


@given(
    image=st.builds(Size, st.integers(1, 300), st.integers(1, 300)),
    canvas=st.builds(Size, st.sampled_from([32, 64, 96]), st.sampled_from([32, 64, 96])),
)
def test_the_letterbox_fills_one_axis_and_pads_the_other(image: Size, canvas: Size) -> None:
    padded, placement = letterbox(np.zeros((image.height, image.width, 3), np.uint8), canvas)
    placed = placement.placed
    assert padded.shape == (canvas.height, canvas.width, 3)
    assert placed.height == canvas.height or placed.width == canvas.width
    assert placed.height <= canvas.height
    assert placed.width <= canvas.width
    assert abs(placed.height * image.width - placed.width * image.height) <= max(image.height, image.width)
    assert (padded[: placed.height, : placed.width] == 0).all()
    assert (padded[placed.height :] == 127).all()
    assert (padded[:, placed.width :] == 127).all()


def test_a_picture_of_the_canvas_size_is_not_resampled() -> None:
    pixels = draw(64, 96)
    padded, placement = letterbox(pixels, Size(64, 96))
    assert (padded == pixels).all()
    assert placement.placed == placement.image


def test_a_halved_picture_holds_the_means_of_its_pixels() -> None:
    pixels = draw(128, 128)
    padded, _ = letterbox(pixels, Size(64, 64))
    means = pixels.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.abs(padded - means).max() <= 0.5


@pytest.mark.parametrize("shape", [(1, 40_000), (40_000, 1)])
def test_a_line_of_pixels_still_covers_the_canvas(shape: tuple[int, int]) -> None:
    padded, placement = letterbox(np.full((*shape, 3), 9, np.uint8), Size(32, 64))
    assert min(placement.placed.height, placement.placed.width) == 1
    assert (padded[: placement.placed.height, : placement.placed.width] == 9).all()


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    canvas=st.builds(Size, st.sampled_from([32, 60, 64, 96]), st.sampled_from([32, 64, 96])),
)
def test_a_centred_letterbox_is_that_of_ultralytics(height: int, width: int, canvas: Size) -> None:
    """Ultralytics' LetterBox, step by step; it rounds as Python does and gives the odd pixel to the end."""
    pixels = draw(height, width)
    ratio = min(canvas.height / height, canvas.width / width)
    new_width, new_height = max(1, round(width * ratio)), max(1, round(height * ratio))
    dw, dh = (canvas.width - new_width) / 2, (canvas.height - new_height) / 2
    resized = cv2.resize(pixels, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
    top, bottom = round(dh - 0.1), round(dh + 0.1)
    left, right = round(dw - 0.1), round(dw + 0.1)
    expected = cv2.copyMakeBorder(
        resized, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(114, 114, 114)
    )
    rule = Input(
        height=canvas.height, width=canvas.width, anchor="centre", padding=114, interpolation="linear"
    )
    found, placement = place_picture(show(pixels), rule)
    np.testing.assert_array_equal(found, expected)
    assert (placement.left, placement.top) == (left, top)
    assert placement.placed == Size(new_height, new_width)


@pytest.mark.parametrize(("interpolation", "code"), [("area", cv2.INTER_AREA), ("linear", cv2.INTER_LINEAR)])
def test_a_stretched_picture_fills_the_canvas(interpolation: Literal["area", "linear"], code: int) -> None:
    pixels = draw(120, 200)
    rule = Input(height=36, width=60, fit="stretch", interpolation=interpolation)
    found, placement = place_picture(show(pixels), rule)
    np.testing.assert_array_equal(found, cv2.resize(pixels, (60, 36), interpolation=code))
    assert placement.placed == placement.canvas == Size(36, 60)
    corners = np.array([[0, 0, 60, 36]], np.float32)
    assert placement.boxes_to_image(corners).tolist() == [[0, 0, 200, 120]]


def test_a_picture_may_be_taken_as_it_is() -> None:
    pixels = draw(37, 51)
    found, placement = place_picture(show(pixels), Input(height=64, width=64, fit="as_is"))
    np.testing.assert_array_equal(found, pixels)
    assert placement.image == placement.canvas == placement.placed == Size(37, 51)


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    fit=st.sampled_from(["letterbox", "stretch", "as_is"]),
    anchor=st.sampled_from(["top_left", "centre"]),
)
def test_the_corners_of_the_image_come_back(
    height: int,
    width: int,
    fit: Literal["letterbox", "stretch", "as_is"],
    anchor: Literal["top_left", "centre"],
) -> None:
    rule = Input(height=64, width=96, fit=fit, anchor=anchor)
    _, placement = place_picture(show(draw(height, width)), rule)
    left, top = placement.left, placement.top
    placed = [left, top, left + placement.placed.width, top + placement.placed.height]
    whole = np.array([[0, 0, width, height]], np.float32)
    np.testing.assert_allclose(placement.boxes_to_image(np.array([placed], np.float32)), whole, rtol=1e-5)
    np.testing.assert_allclose(placement.boxes_to_canvas(whole), [placed], rtol=1e-5)
