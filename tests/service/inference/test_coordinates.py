"""A known mask, painted into head tensors, has to come back at the very pixels it was painted for."""

import io
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from service.inference.backends import BackendChoice
from service.inference.canvas import letterbox
from service.inference.card import Card, read_card
from service.inference.images import Limits
from service.inference.masks.rle import decode_rle
from service.inference.segmenter import Segmenter, open_model
from service.types import BackendInfo, Floats, Heads, Instance, Options, Pixels, Placement, Rle, Size

INFO = BackendInfo("painted", "0", "fp32", 1, (), ())
STORED: dict[int, str] = {  # how a picture is stored so that each EXIF orientation shows it upright
    1: "as it is",
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_90",
    7: "TRANSVERSE",
    8: "ROTATE_270",
}
SHAPES = [
    (480, 640),
    (640, 480),
    (333, 517),
    (517, 333),
    (64, 96),
    (200, 1001),
    (1080, 1920),
    (37, 41),
]


class PaintedBackend:
    """Answers with the heads it was given."""

    def __init__(self, heads: Heads) -> None:
        self.heads = heads

    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        assert pixels.shape == (1, 64, 96, 3)
        return self.heads

    def describe(self, *, crowded: bool = False) -> BackendInfo:
        return INFO

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def card(toy_folder: Path) -> Card:
    return read_card(toy_folder)


def place(image: Size) -> Placement:
    return letterbox(np.zeros((image.height, image.width, 3), np.uint8), Size(64, 96))[1]


def paint(placement: Placement, box: Floats, edge: tuple[float, float]) -> Heads:
    """Heads that say: one leaf in `box` (xyxy, image frame), cut by a line through its middle.

    The line is where `edge` . (pixel - middle) = 0. A linear field is exact under bilinear interpolation.
    """
    x1, y1, x2, y2 = placement.boxes_to_canvas(box[None])[0].astype(float)
    row, column = int((y1 + y2) / 2 / 4), int((x1 + x2) / 2 / 4)
    heads = {name: np.zeros((1, 16, 24, count), np.float32) for name, count in CHANNELS.items()}
    heads["heatmap"][0, row, column, 1] = 0.875
    heads["size"][0, row, column] = [4 * column - x1, 4 * row - y1, x2 - 4 * column, y2 - 4 * row]
    heads["coefficients"][0, row, column] = [1, 0]
    rows, columns = np.mgrid[:16, :24]
    x, y = (4 * columns + 2) / placement.scale_x, (4 * rows + 2) / placement.scale_y  # image frame
    heads["spanning_set"][0, :, :, 0] = cut(x, y, box, edge)
    return heads


CHANNELS = {"heatmap": 2, "size": 4, "coefficients": 2, "spanning_set": 2}


def cut(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], box: Floats, edge: tuple[float, float]
) -> Floats:
    middle = (box[:2] + box[2:]) / 2
    side: Floats = edge[0] * (x - middle[0]) + edge[1] * (y - middle[1]) + 0.01
    return side


def expected_mask(image: Size, box: Floats, edge: tuple[float, float]) -> npt.NDArray[np.bool_]:
    """The definition, pixel by pixel: its centre in the box and on the line's positive side."""
    rows, columns = np.mgrid[: image.height, : image.width] + 0.5
    inside = (columns > box[0]) & (columns < box[2]) & (rows > box[1]) & (rows < box[3])
    mask: npt.NDArray[np.bool_] = inside & (cut(columns, rows, box, edge) > 0)
    return mask


def find(card: Card, image: Size, heads: Heads) -> Instance:
    segmenter = Segmenter(card, PaintedBackend(heads), Limits())
    answer = segmenter.segment_pixels(np.zeros((image.height, image.width, 3), np.uint8), Options())
    assert answer.image == image
    (instance,) = answer.instances
    return instance


@pytest.mark.parametrize("edge", [(1.0, 0.3137), (-0.4, 1.0), (0.0, -1.0), (1.0, 0.0)])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_painted_mask_comes_back_at_its_pixels(
    card: Card, shape: tuple[int, int], edge: tuple[float, float]
) -> None:
    image = Size(*shape)
    # Away from the border, where fields are clamped and so no longer linear.
    box = np.round(np.array([0.2, 0.25, 0.7, 0.8]) * [*shape[::-1], *shape[::-1]]).astype(np.float32)
    instance = find(card, image, paint(place(image), box, edge))
    expected = expected_mask(image, box, edge)
    assert isinstance(instance.segmentation, Rle)
    assert (decode_rle(instance.segmentation) == expected).all()
    assert instance.area == expected.sum()
    x, y, width, height = instance.bbox
    np.testing.assert_allclose([x, y, x + width, y + height], box, rtol=1e-4)
    assert (instance.label, instance.category_id, instance.score) == ("leaf", 9, 0.875)


@settings(deadline=None)  # a busy machine is no fault
@example(height=3, width=1000, corners=(0.2, 0.25, 0.7, 0.8))  # its two scales differ by a factor of 3.5
@given(
    height=st.integers(20, 400),
    width=st.integers(20, 400),
    corners=st.tuples(*[st.floats(0.05, 0.4)] * 2, *[st.floats(0.6, 0.95)] * 2),
)
def test_a_painted_box_comes_back_for_any_size(
    card: Card, height: int, width: int, corners: tuple[float, ...]
) -> None:
    image = Size(height, width)
    box = (np.array(corners) * [width, height, width, height]).astype(np.float32)
    x, y, across, down = find(card, image, paint(place(image), box, (1.0, 0.0))).bbox
    np.testing.assert_allclose([x, y, x + across, y + down], box, atol=1e-4 * max(width, height))


@given(
    image=st.builds(Size, st.integers(1, 4000), st.integers(1, 4000)),
    placed=st.builds(Size, st.integers(1, 640), st.integers(1, 640)),
    box=st.tuples(*[st.floats(-100, 5000, width=32)] * 4),
)
def test_the_two_directions_of_a_placement_are_inverse(
    image: Size, placed: Size, box: tuple[float, ...]
) -> None:
    placement = Placement(image=image, canvas=Size(640, 640), placed=placed)
    boxes = np.array([box], np.float32)
    np.testing.assert_allclose(
        placement.boxes_to_image(placement.boxes_to_canvas(boxes)), boxes, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        placement.boxes_to_canvas(placement.boxes_to_image(boxes)), boxes, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("orientation", STORED)
def test_a_rotated_photo_is_answered_in_the_frame_it_is_seen_in(toy_folder: Path, orientation: int) -> None:
    seen = np.zeros((128, 192, 3), np.uint8)  # twice the canvas
    seen[48:56, 88:96, 0] = 255  # what the toy takes for the centre of a rose,
    seen[24:72, 48:96, 2] = 255  # and for its mask, which reaches out of the box but at its right
    answer = open_model(toy_folder, BackendChoice()).segment(store(seen, orientation), Options())
    assert answer.image == Size(128, 192)
    (rose,) = answer.instances
    assert (rose.label, rose.bbox, rose.area) == ("rose", (64, 32, 48, 32), 32 * 32)
    assert isinstance(rose.segmentation, Rle)
    mask = np.zeros((128, 192), bool)
    mask[32:64, 64:96] = True
    assert (decode_rle(rose.segmentation) == mask).all()


def store(seen: Pixels, orientation: int) -> bytes:
    picture, stream = Image.fromarray(seen), io.BytesIO()
    if orientation > 1:
        picture = picture.transpose(Image.Transpose[STORED[orientation]])
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    picture.save(stream, "PNG", exif=b"Exif\0\0II" + struct.pack("<HIH", 42, 8, 1) + entry + bytes(4))
    return stream.getvalue()
