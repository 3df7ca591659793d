import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pycocotools.mask
import pytest
from PIL import Image
from structlog.testing import capture_logs

from service.errors import (
    ImageTooLarge,
    InvalidCard,
    InvalidImage,
    InvalidOption,
    OutOfMemory,
    SelfTestFailed,
)
from service.inference.backends import BackendChoice
from service.inference.canvas import place_picture
from service.inference.card import Input, Label, read_card
from service.inference.families import YoloDecoder
from service.inference.golden import read_golden
from service.inference.images import Limits, Picture
from service.inference.masks.forms import form_to_mask
from service.inference.segmenter import Segmenter, open_model
from service.inference.views import Share
from service.types import (
    Floats,
    Heads,
    MaskForm,
    MaskFormat,
    Options,
    Pixels,
    Placement,
    Polygon,
    Rle,
    RleCrop,
    Size,
)
from tests.fakes import FakeBackend, fake_card
from tests.service.models import copy_with_fast_int8, spoil_int8

CHOICES = {
    "onnx": BackendChoice(runtime="onnx"),
    "tflite": BackendChoice(runtime="tflite", slots=2),
    "int8": BackendChoice(precision="int8"),
}


@pytest.fixture(scope="module", params=CHOICES)
def segmenter(request: pytest.FixtureRequest, toy_folder: Path) -> Segmenter:
    return open_model(toy_folder, CHOICES[request.param])


@pytest.fixture(scope="module")
def onnx_segmenter(toy_folder: Path) -> Segmenter:
    return open_model(toy_folder, BackendChoice(runtime="onnx"))


def draw_flowers(*centres: tuple[int, int, int]) -> Pixels:
    """A blue canvas with a rose (0) or a leaf (1) at each (row, column, kind), in cells."""
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[..., 2] = 255
    for row, column, kind in centres:
        pixels[4 * row : 4 * row + 4, 4 * column : 4 * column + 4, kind] = 255 - 10 * row
    return pixels


def encode_png(pixels: Pixels) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


FLOWERS = draw_flowers((4, 6, 0), (8, 15, 1))


def test_a_picture_gives_its_instances_best_first(segmenter: Segmenter) -> None:
    answer = segmenter.segment(encode_png(FLOWERS), Options())
    assert (answer.model, answer.version, answer.image) == ("toy", "1", Size(64, 96))
    assert answer.backend == segmenter.backend.describe()
    rose, leaf = answer.instances
    assert (rose.label, rose.category_id) == ("rose", 7)
    assert (leaf.label, leaf.category_id) == ("leaf", 9)
    np.testing.assert_allclose([rose.score, leaf.score], [215 / 255, 175 / 255], atol=0.005)
    np.testing.assert_allclose(rose.bbox, (12, 8, 24, 16), atol=0.1)
    np.testing.assert_allclose(leaf.bbox, (48, 24, 24, 16), atol=0.1)


# pycocotools 2.0.11 speaks numpy 1's array protocol.
@pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
def test_masks_decode_with_pycocotools_to_the_images_size(onnx_segmenter: Segmenter) -> None:
    for instance in onnx_segmenter.segment_pixels(FLOWERS, Options()).instances:
        assert isinstance(instance.segmentation, Rle)
        mask = pycocotools.mask.decode(instance.segmentation.to_coco())
        x, y, width, height = (int(value) for value in instance.bbox)
        assert mask.shape == (64, 96)
        assert mask.sum() == instance.area == width * height
        assert mask[y : y + height, x : x + width].all()


@pytest.mark.parametrize(("masks", "kind"), [("rle_crop", RleCrop), ("polygon", Polygon)])
def test_masks_come_in_the_form_that_is_asked_for(
    onnx_segmenter: Segmenter, masks: MaskFormat, kind: type[MaskForm]
) -> None:
    whole = onnx_segmenter.segment_pixels(FLOWERS, Options()).instances
    for instance, plain in zip(
        onnx_segmenter.segment_pixels(FLOWERS, Options(masks=masks)).instances, whole, strict=True
    ):
        assert isinstance(instance.segmentation, kind)
        assert plain.segmentation is not None
        mask = form_to_mask(plain.segmentation, Size(64, 96))
        assert np.array_equal(form_to_mask(instance.segmentation, Size(64, 96)), mask)
        assert replace(instance, segmentation=plain.segmentation) == plain


def test_bytes_and_pixels_give_the_same_answer(onnx_segmenter: Segmenter) -> None:
    from_bytes = onnx_segmenter.segment(encode_png(FLOWERS), Options())
    from_pixels = onnx_segmenter.segment_pixels(FLOWERS, Options())
    assert from_bytes == from_pixels
    assert from_bytes.timings.decode > 0
    assert from_pixels.timings.decode == 0


def test_a_large_jpeg_gives_nearly_the_same_answer_exact_or_not(segmenter: Segmenter) -> None:
    flowers = np.repeat(np.repeat(FLOWERS, 4, axis=0), 4, axis=1)
    finest = (cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111)
    _, encoded = cv2.imencode(".jpg", flowers[..., ::-1], finest)
    exact = segmenter.segment(encoded.tobytes(), Options(exact=True))
    quick = segmenter.segment(encoded.tobytes(), Options())
    assert quick.image == exact.image == Size(256, 384)
    assert [each.label for each in quick.instances] == [each.label for each in exact.instances]
    for one, other in zip(quick.instances, exact.instances, strict=True):
        np.testing.assert_allclose(one.bbox, other.bbox, atol=0.5)
        assert one.score == pytest.approx(other.score, abs=0.02)


def test_only_what_is_not_exact_is_reduced(
    onnx_segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[tuple[int, ...]]()

    def note(picture: Picture, rule: Input) -> tuple[Pixels, Placement]:
        seen.append(picture.pixels.shape[:2])
        return place_picture(picture, rule)

    monkeypatch.setattr("service.inference.segmenter.place_picture", note)
    data = cv2.imencode(".jpg", np.zeros((256, 384, 3), np.uint8))[1].tobytes()
    for exact in (True, False, None):
        onnx_segmenter.segment(data, Options(exact=exact))
    assert seen == [(256, 384), (64, 96), (64, 96)]
    seen.clear()
    card = onnx_segmenter.card
    rule = card.input.model_copy(update={"interpolation": "linear"})  # shows the pixels that a fraction lacks
    linear = card.model_copy(update={"input": rule})
    Segmenter(linear, onnx_segmenter.backend, onnx_segmenter.limits).segment(data, Options())
    assert seen == [(256, 384)]


def test_a_channel_without_a_label_is_never_answered(onnx_segmenter: Segmenter) -> None:
    (leaf,) = [label for label in onnx_segmenter.card.labels if label.name == "leaf"]
    only = onnx_segmenter.card.model_copy(update={"labels": (leaf.model_copy(update={"channel": 1}),)})
    segmenter = Segmenter(only, onnx_segmenter.backend, onnx_segmenter.limits)
    assert [each.label for each in segmenter.segment_pixels(FLOWERS, Options()).instances] == ["leaf"]


class YoloBackend(FakeBackend):
    """Two boxes of one class; the mask of the better one has no pixel."""

    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        rows = [[16, 16, 16, 16, 0.9, -1], [32, 32, 16, 16, 0.8, 1]]
        return {
            "output0": np.array([rows], np.float32).transpose(0, 2, 1),
            "output1": np.ones((1, 1, 16, 16), np.float32),
        }


@pytest.mark.parametrize("masks", ["rle", "rle_crop", "polygon", "none"])
def test_an_object_without_a_pixel_is_left_out_whatever_the_form_of_masks(masks: MaskFormat) -> None:
    labels = (Label(category_id=4, name="cup"),)
    changes = {"decoder": YoloDecoder(coefficients=1), "input": Input(height=64, width=64), "labels": labels}
    segmenter = Segmenter(fake_card().model_copy(update=changes), YoloBackend(), Limits())
    for limit in (1, 2):
        options = Options(masks=masks, max_instances=limit)
        (found,) = segmenter.segment_pixels(np.zeros((64, 64, 3), np.uint8), options).instances
        assert (found.label, found.bbox) == ("cup", (24, 24, 16, 16))
        assert found.area == (None if masks == "none" else 256)


def test_every_stage_is_timed(onnx_segmenter: Segmenter) -> None:
    timings = onnx_segmenter.segment(encode_png(FLOWERS), Options()).timings
    stages = [timings.decode, timings.prepare, timings.infer, timings.postprocess, timings.masks]
    assert all(0 < stage < 5000 for stage in stages)
    assert timings.total == round(sum(stages), 3)
    assert stages == [round(stage, 3) for stage in stages]


def test_options_narrow_the_answer(onnx_segmenter: Segmenter) -> None:
    def labels(options: Options) -> list[str]:
        return [each.label for each in onnx_segmenter.segment_pixels(FLOWERS, options).instances]

    assert labels(Options()) == ["rose", "leaf"]
    assert labels(Options(max_instances=1)) == ["rose"]
    assert labels(Options(classes=("leaf",))) == ["leaf"]
    assert labels(Options(score_threshold=0.8)) == ["rose"]
    assert labels(Options(score_threshold=1.0)) == []


def test_one_object_gets_one_label_where_all_classes_are_compared(segmenter: Segmenter) -> None:
    orange = draw_flowers((4, 6, 0), (8, 15, 1))
    orange[16:20, 24:28, 1] = 160  # the rose looks like a leaf, too
    both = segmenter.segment_pixels(orange, Options(score_threshold=0.5)).instances
    assert [each.label for each in both] == ["rose", "leaf", "leaf"]
    assert both[0].bbox == both[2].bbox
    best = segmenter.segment_pixels(orange, Options(score_threshold=0.5, nms="all")).instances
    assert best == both[:2]


def test_without_masks_there_is_neither_mask_nor_area(onnx_segmenter: Segmenter) -> None:
    with_masks = onnx_segmenter.segment_pixels(FLOWERS, Options())
    without = onnx_segmenter.segment_pixels(FLOWERS, Options(masks="none"))
    assert [(each.area, each.segmentation) for each in without.instances] == [(None, None)] * 2
    assert [each.bbox for each in without.instances] == [each.bbox for each in with_masks.instances]


def test_boxes_are_clipped_to_the_picture(onnx_segmenter: Segmenter) -> None:
    corners = draw_flowers((0, 0, 0), (15, 23, 1))
    first, last = onnx_segmenter.segment_pixels(corners, Options(score_threshold=0.3)).instances
    assert first.bbox == (0, 0, 12, 8)
    assert last.bbox == (80, 52, 16, 12)


def test_what_lies_in_the_padding_alone_is_dropped(onnx_segmenter: Segmenter) -> None:
    narrow = np.full((64, 8, 3), 255, np.uint8)  # right of it 88 columns of padding, 50 % red
    answer = onnx_segmenter.segment_pixels(narrow, Options(score_threshold=0.4))
    assert answer.instances
    for instance in answer.instances:
        x, y, width, height = instance.bbox
        assert width > 0
        assert height > 0
        assert x + width <= 8
        assert y + height <= 64


def test_a_picture_without_objects_gives_an_empty_answer(segmenter: Segmenter) -> None:
    answer = segmenter.segment_pixels(np.zeros((50, 70, 3), np.uint8), Options())
    assert answer.instances == ()
    assert answer.image == Size(50, 70)


def test_one_pixel_is_enough(segmenter: Segmenter) -> None:
    assert segmenter.segment(encode_png(np.zeros((1, 1, 3), np.uint8)), Options()).image == Size(1, 1)


def test_many_threads_get_each_its_own_answer(segmenter: Segmenter) -> None:
    pictures = [draw_flowers((4, 4 + index, index % 2)) for index in range(16)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda each: segmenter.segment_pixels(each, Options()), pictures))
    for index, answer in enumerate(answers):
        (flower,) = answer.instances
        assert flower.label == ("rose", "leaf")[index % 2]
        assert flower.bbox[0] == pytest.approx(4 + 4 * index, abs=0.1)


def test_bad_requests_are_refused_and_the_next_is_answered(onnx_segmenter: Segmenter) -> None:
    small = Segmenter(onnx_segmenter.card, onnx_segmenter.backend, Limits(max_pixels=6000))
    with pytest.raises(InvalidImage):
        small.segment(b"not an image", Options())
    with pytest.raises(ImageTooLarge):
        small.segment(encode_png(FLOWERS), Options())
    with pytest.raises(InvalidOption):
        small.segment(b"not looked at", Options(classes=("tulip",)))
    assert small.segment(encode_png(FLOWERS[:62]), Options()).instances


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_pixels_of_another_kind_are_refused(onnx_segmenter: Segmenter, pixels: Pixels) -> None:
    with pytest.raises(InvalidImage, match=r"expected uint8 \[H, W, 3\]"):
        onnx_segmenter.segment_pixels(pixels, Options())


def test_the_self_test_tells_how_far_off_it_is(segmenter: Segmenter, toy_folder: Path) -> None:
    tolerance = {"fp32": 1e-4, "int8": 0.05}[segmenter.backend.describe().precision]
    assert 0 <= segmenter.self_test(read_golden(toy_folder)) <= tolerance


@pytest.mark.parametrize("choice", CHOICES.values())
def test_a_model_that_computes_something_else_is_not_opened(
    toy_folder: Path, tmp_path: Path, choice: BackendChoice
) -> None:
    folder = Path(shutil.copytree(toy_folder, tmp_path / "toy"))
    golden = json.loads((folder / "golden.json").read_text())
    golden["samples"][3]["value"] += 0.5
    (folder / "golden.json").write_text(json.dumps(golden))
    with pytest.raises(SelfTestFailed, match=golden["samples"][3]["head"]):
        open_model(folder, choice)


def test_a_fast_precision_that_fails_its_test_gives_way_to_fp32_unless_it_was_asked_for(
    toy_folder: Path, tmp_path: Path
) -> None:
    folder = copy_with_fast_int8(toy_folder, tmp_path / "toy")
    choice = BackendChoice(runtime="tflite")
    assert describe_precision(folder, choice) == "int8"
    spoil_int8(folder)
    assert describe_precision(folder, choice) == "fp32"
    with pytest.raises(SelfTestFailed):
        open_model(folder, replace(choice, precision="int8"))


def test_fp32_that_fails_its_test_is_not_tried_twice(toy_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(toy_folder, tmp_path / "toy"))
    golden = json.loads((folder / "golden.json").read_text())
    golden["samples"][0]["value"] += 0.5
    (folder / "golden.json").write_text(json.dumps(golden))
    with capture_logs() as lines, pytest.raises(SelfTestFailed):
        open_model(folder, BackendChoice())
    assert lines == []


def describe_precision(folder: Path, choice: BackendChoice) -> str:
    segmenter = open_model(folder, choice)
    segmenter.close()
    return segmenter.backend.describe().precision


@pytest.mark.parametrize("missing", ["card.json", "golden.json", "fp32.onnx"])
def test_a_folder_with_something_missing_is_not_opened(
    toy_folder: Path, tmp_path: Path, missing: str
) -> None:
    folder = Path(shutil.copytree(toy_folder, tmp_path / "toy"))
    (folder / missing).unlink()
    with pytest.raises(InvalidCard, match=missing):
        open_model(folder, BackendChoice())


class NanBackend:
    """A delegate that miscomputes."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.healthy = segmenter.backend
        self.describe, self.close = self.healthy.describe, self.healthy.close

    def run(self, pixels: Pixels, *, crowded: bool = False) -> dict[str, Floats]:
        return {name: head * np.float32(np.nan) for name, head in self.healthy.run(pixels).items()}


def test_values_that_are_no_numbers_give_an_error_and_no_answer(
    onnx_segmenter: Segmenter, toy_folder: Path
) -> None:
    broken = Segmenter(read_card(toy_folder), NanBackend(onnx_segmenter), Limits())
    with pytest.raises(SelfTestFailed):
        broken.segment_pixels(FLOWERS, Options())
    with pytest.raises(SelfTestFailed):
        broken.self_test(read_golden(toy_folder))


class FailingBackend(NanBackend):
    """A runtime that raises."""

    def __init__(self, segmenter: Segmenter, error: Exception) -> None:
        super().__init__(segmenter)
        self.error = error

    def run(self, pixels: Pixels, *, crowded: bool = False) -> dict[str, Floats]:
        raise self.error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), OutOfMemory),
        (RuntimeError("Failed to allocate memory for requested buffer of size 9"), OutOfMemory),
        (RuntimeError("std::bad_alloc"), OutOfMemory),
        (RuntimeError("shape mismatch"), RuntimeError),
    ],
)
def test_memory_that_is_short_has_a_name_whoever_runs_out_of_it(
    onnx_segmenter: Segmenter, error: Exception, expected: type[Exception]
) -> None:
    failing = Segmenter(onnx_segmenter.card, FailingBackend(onnx_segmenter, error), Limits())
    with pytest.raises(expected):
        failing.segment_pixels(FLOWERS, Options())
    with pytest.raises(expected):
        failing.segment(encode_png(FLOWERS), Options())


def draw_patch(height: int, width: int, *, x: int, y: int) -> Pixels:
    """A black picture with a square of 4 pixels that the toy calls a rose where it fills a cell."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[y : y + 4, x : x + 4] = 255, 0, 255
    return pixels


LARGE = draw_patch(196, 300, x=176, y=112)  # 16 tiles; the one at x 136, y 88 shows the patch in one cell


def test_tiles_find_a_small_object_and_give_the_mask_of_its_tile_exactly(onnx_segmenter: Segmenter) -> None:
    tiled = onnx_segmenter.segment_pixels(LARGE, Options(0.5, tiles="auto"))
    (instance,) = tiled.instances
    assert onnx_segmenter.segment_pixels(LARGE, Options(0.5)).instances == ()
    (alone,) = onnx_segmenter.segment_pixels(LARGE[88:152, 136:232], Options(0.5)).instances
    assert instance.segmentation is not None
    assert alone.segmentation is not None
    expected = np.zeros((196, 300), bool)
    expected[88:152, 136:232] = form_to_mask(alone.segmentation, Size(64, 96))
    assert np.array_equal(form_to_mask(instance.segmentation, tiled.image), expected)
    assert (tiled.image, instance.label, instance.area) == (Size(196, 300), "rose", alone.area)


def test_tiles_of_an_encoded_picture_are_those_of_its_pixels(onnx_segmenter: Segmenter) -> None:
    png = cv2.imencode(".png", cv2.cvtColor(LARGE, cv2.COLOR_RGB2BGR))[1].tobytes()
    for masks in get_args(MaskFormat):
        options = Options(0.5, masks=masks, tiles=16)
        found = onnx_segmenter.segment(png, options)
        assert found == onnx_segmenter.segment_pixels(LARGE, options)
        assert [instance.label for instance in found.instances] == ["rose"]


def test_shares_of_the_tiles_together_find_what_one_process_finds(onnx_segmenter: Segmenter) -> None:
    png = cv2.imencode(".png", cv2.cvtColor(LARGE, cv2.COLOR_RGB2BGR))[1].tobytes()
    options = Options(0.05, tiles="auto")
    shares = [onnx_segmenter.search(png, options, Share(index, 3)) for index in range(3)]
    assert onnx_segmenter.join(shares, options) == onnx_segmenter.segment(png, options)


def test_tiles_of_a_small_picture_change_nothing(onnx_segmenter: Segmenter) -> None:
    pixels = draw_patch(64, 96, x=40, y=24)
    plain, tiled = (onnx_segmenter.segment_pixels(pixels, Options(tiles=tiles)) for tiles in (None, "auto"))
    assert plain == tiled


@pytest.mark.parametrize("tiles", [0, -1, 33, 10**9])
def test_more_tiles_than_the_service_allows_are_refused(onnx_segmenter: Segmenter, tiles: int) -> None:
    with pytest.raises(InvalidOption, match="tiles is"):
        onnx_segmenter.segment_pixels(draw_patch(64, 96, x=0, y=0), Options(tiles=tiles))
