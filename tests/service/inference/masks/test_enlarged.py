"""YOLO's masks in the image against masks that are drawn in Ultralytics' two steps."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.inference.canvas import place_picture
from service.inference.card import Input
from service.inference.images import Picture
from service.inference.masks.enlarged import find_content
from service.inference.masks.forms import describe_masks, form_to_mask
from service.types import Floats, Instances, Placement, Size

Doubles = npt.NDArray[np.float64]

CANVAS, FIELD = Size(64, 96), Size(16, 24)


def place(height: int, width: int) -> Placement:
    rule = Input(height=CANVAS.height, width=CANVAS.width, anchor="centre", interpolation="linear")
    return place_picture(Picture(np.zeros((height, width, 3), np.uint8), Size(height, width)), rule)[1]


def interpolate(field: Doubles, height: int, width: int) -> Doubles:
    """The field at the centres of height x width cells over it, as torch with `align_corners=False`."""
    for length in (height, width):
        at = np.clip((np.arange(length) + 0.5) * len(field) / length - 0.5, 0, len(field) - 1)
        below = at.astype(int)
        above = np.minimum(below + 1, len(field) - 1)
        weights = (at - below)[:, None]
        field = (field[below] * (1 - weights) + field[above] * weights).T
    return field


def draw_values(field: Floats, placement: Placement) -> Doubles:
    """Ultralytics' process_mask_native: the values at the pixels of the image, float64 [H, W]."""
    image = placement.image
    gain = min(CANVAS.height / image.height, CANVAS.width / image.width)
    pad = (CANVAS.height - max(round(image.height * gain), 1)) | (
        CANVAS.width - max(round(image.width * gain), 1)
    )
    steps = 4 // math.gcd(4, pad | pad // 2)
    large = interpolate(field.astype(np.float64), FIELD.height * steps, FIELD.width * steps)
    height, width = large.shape
    gain = min(height / image.height, width / image.width)
    content_height, content_width = max(round(image.height * gain), 1), max(round(image.width * gain), 1)
    top, left = round((height - content_height) / 2 - 0.1), round((width - content_width) / 2 - 0.1)
    content = large[top : top + content_height, left : left + content_width]
    return interpolate(content, image.height, image.width)


def check_masks(placement: Placement, seed: int) -> None:
    """The traced masks are the drawn ones, but for values that rounding could put on either side of 0."""
    random = np.random.default_rng(seed)
    image, count = placement.image, 5
    corners = np.sort(random.uniform(-0.1, 1.1, (count, 2, 2)), axis=1).reshape(count, 4)
    boxes = corners * np.tile([image.width, image.height], 2)
    fields = random.normal(size=(count, FIELD.height, FIELD.width)).astype(np.float32)
    instances = Instances(
        classes=np.zeros(count, np.int64),
        scores=np.ones(count, np.float32),
        boxes_xyxy_canvas=placement.boxes_to_canvas(boxes.astype(np.float32)),
        mask_fields=fields,
        window="corners",
        is_enlarged=True,
    )
    boxes_xyxy = placement.boxes_to_image(instances.boxes_xyxy_canvas)
    rows, columns = np.mgrid[: image.height, : image.width]
    for (form, _), field, (x1, y1, x2, y2) in zip(
        describe_masks(instances, placement, "rle"), fields, boxes_xyxy, strict=True
    ):
        values = draw_values(field, placement)
        drawn = (values > 0) & (columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2)
        assert form is not None
        wrong = (form_to_mask(form, image) != drawn) & (np.abs(values) > 1e-5)
        assert not wrong.any()


@settings(max_examples=60, deadline=None)
@example(height=64, width=96, seed=0)
@example(height=40, width=96, seed=1)  # the padding is a whole number of samples
@example(height=44, width=96, seed=2)  # of half samples
@example(height=300, width=451, seed=3)
@example(height=97, width=33, seed=4)
@given(height=st.integers(1, 150), width=st.integers(1, 150), seed=st.integers(0, 2**32 - 1))
def test_a_mask_is_that_of_two_interpolations(height: int, width: int, seed: int) -> None:
    check_masks(place(height, width), seed)


@pytest.mark.parametrize(("height", "steps"), [(64, 1), (56, 1), (60, 2), (62, 4), (63, 4), (51, 4)])
def test_a_field_is_enlarged_until_the_padding_is_whole(height: int, steps: int) -> None:
    content = find_content(place(height, 96), FIELD)
    assert content is not None
    assert content.steps == steps
    assert content.size == Size(height * steps // 4, 96 * steps // 4)


def test_a_field_that_does_not_divide_the_canvas_is_interpolated_once() -> None:
    assert find_content(place(64, 96), Size(15, 24)) is None
