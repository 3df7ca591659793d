"""Images and options, checked before anything is sent."""

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from service.client import Frame, Options, RawImage, StreamOptions, pixels_to_png
from service.client.asking import check_name, check_options, check_stream_options, read_image, read_picture
from service.client.proto_convert import frame_to_proto
from service.errors import InvalidImage, InvalidOption
from service.types import Pixels

RNG = np.random.default_rng(7)
COLOURS = RNG.integers(0, 256, (5, 7, 3), np.uint8)


@pytest.mark.parametrize("pixels", [COLOURS, COLOURS[:, ::-1], COLOURS[::2, 1:], COLOURS[:1, :1]])
def test_pixels_are_encoded_without_loss(pixels: Pixels) -> None:
    for picture in (pixels, pixels[..., 0]):
        assert np.array_equal(np.asarray(PIL.Image.open(io.BytesIO(pixels_to_png(picture)))), picture)


@pytest.mark.parametrize(
    "pixels", [COLOURS.astype(np.float32), COLOURS[..., :2], COLOURS[:0], COLOURS[None], COLOURS[0, 0]]
)
def test_arrays_that_are_no_picture_say_what_is_expected(pixels: Pixels) -> None:
    for read in (read_image, read_picture):
        with pytest.raises(InvalidImage, match=r"expected uint8 \[height, width, 3\] in RGB"):
            read(pixels)


def test_an_image_may_be_bytes_or_a_path(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"jpeg")
    for image in (b"jpeg", bytearray(b"jpeg"), memoryview(b"jpeg"), path, str(path)):
        assert read_image(image) == b"jpeg"
        assert read_picture(image) == b"jpeg"
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_image(tmp_path / "nowhere.jpg")
    with pytest.raises(InvalidImage, match="the image is a list, expected bytes, a path"):
        read_image([b"jpeg"])  # type: ignore[arg-type]  # the mistake that is tested


def test_pixels_of_a_stream_are_sent_as_they_are() -> None:
    picture = read_picture(COLOURS[::2])
    assert isinstance(picture, RawImage)
    message = frame_to_proto(1, None, picture)
    assert (message.raw.size.height, message.raw.size.width) == (3, 7)
    assert message.raw.data == COLOURS[::2].tobytes()
    assert Frame(1, None, COLOURS) != Frame(1, None, COLOURS)  # arrays have no single truth to compare


@pytest.mark.parametrize("classes", ["cat, dog", ["cat", "dog"], ("cat", "dog")])
def test_labels_may_be_one_text_or_several(classes: object) -> None:
    options = Options(classes=classes)  # type: ignore[arg-type]  # what people write
    assert check_options(options).classes == ("cat", "dog")
    assert check_stream_options(StreamOptions(options)).segment.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("options", "clue"),
    [
        ({"classes": ()}, "classes is empty"),
        ({"classes": 7}, "classes is 7"),
        ({"classes": ["cat", 7]}, "classes is"),
        ({"classes": ["\ud800"]}, "no Unicode text"),
        ({"masks": "png"}, "masks is 'png', expected one of rle"),
        ({"nms": "most"}, "nms is 'most', expected one of"),
        ({"score_threshold": "0.5"}, "score_threshold is '0.5', expected a number"),
        ({"score_threshold": True}, "score_threshold is True"),
        ({"max_instances": 2.5}, "max_instances is 2.5, expected a whole number"),
        ({"max_instances": 2**40}, "max_instances is"),
    ],
)
def test_options_that_no_server_can_take_are_refused_in_words(options: dict[str, object], clue: str) -> None:
    with pytest.raises(InvalidOption, match=clue):
        check_options(Options(**options))  # type: ignore[arg-type]  # the mistakes that are tested


def test_options_of_another_kind_are_refused() -> None:
    with pytest.raises(InvalidOption, match="a StreamOptions, expected Options"):
        check_options(StreamOptions())  # type: ignore[arg-type]  # the mistake that is tested
    with pytest.raises(InvalidOption, match="a dict, expected StreamOptions"):
        check_stream_options({})  # type: ignore[arg-type]  # the mistake that is tested
    with pytest.raises(InvalidOption, match="version is 7, expected a text"):
        check_name("version", 7)  # type: ignore[arg-type]  # the mistake that is tested
