"""All four clients over real sockets: the same objects come out, the same errors are raised."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from service import errors
from service.client import ModelInfo, decode_masks, draw_overlay, pixels_to_png
from service.serving.admission import Admission
from service.serving.engine import Engine
from service.telemetry.metrics import Metrics
from service.types import MaskFormat, Options, Size
from tests.fakes import FakeModel, Gate, encode_picture, find_middle
from tests.service.client.conftest import MAX_BODY, Addresses, Ask, call, serving

PICTURE = encode_picture(60, 30)
NAN = float("nan")
TYPING: Any = Options  # for mistakes that mypy would find


async def test_an_answer_is_the_object_that_the_service_made(ask: Ask, model: FakeModel) -> None:
    found = await ask(PICTURE)
    assert found == model.segment(PICTURE, Options())
    assert found.timings == model.segment(PICTURE, Options()).timings


async def test_options_reach_the_service(ask: Ask) -> None:
    bare = await ask(PICTURE, Options(masks="none"))
    assert bare.instances == (find_middle(Size(30, 60), masked=False),)
    assert (await ask(PICTURE, Options(score_threshold=0.9))).instances == ()
    assert (await ask(PICTURE, Options(classes=("dog",)))).instances == ()
    assert len((await ask(PICTURE, Options(classes=("dog", "cat"), max_instances=1))).instances) == 1


async def test_the_model_and_its_version_can_be_chosen(ask: Ask) -> None:
    found = await ask(PICTURE, model="other", version="2")
    assert (found.model, found.version) == ("other", "2")


async def test_masks_and_overlay_come_from_the_answer(ask: Ask) -> None:
    pixels = np.full((30, 60, 3), 90, np.uint8)
    found = await ask(pixels_to_png(pixels))
    (mask,) = decode_masks(found)
    assert mask.shape == (30, 60)
    assert mask.sum() == found.instances[0].area > 0
    drawn = draw_overlay(pixels, found)
    assert (drawn[mask] != 90).any(axis=-1).all()


@pytest.mark.parametrize("masks", ["rle_crop", "polygon", "contour"])
async def test_every_form_of_masks_is_the_object_that_the_service_made(
    ask: Ask, model: FakeModel, masks: MaskFormat
) -> None:
    found = await ask(PICTURE, Options(masks=masks))
    assert found == model.segment(PICTURE, Options(masks=masks))
    assert np.array_equal(decode_masks(found), decode_masks(model.segment(PICTURE, Options())))


async def test_an_image_may_be_a_path_or_pixels(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(PICTURE)
    expected = await ask(PICTURE)
    for image in (bytearray(PICTURE), tmp_path / "photo.png", str(tmp_path / "photo.png")):
        assert await ask(image) == expected
    for pixels in (np.zeros((30, 60, 3), np.uint8), np.zeros((30, 60), np.uint8)):
        assert (await ask(pixels)).image == Size(30, 60)
    with pytest.raises(FileNotFoundError, match="missing"):
        await ask(tmp_path / "missing.jpg")


@pytest.mark.parametrize(
    ("image", "asked", "kind", "clue"),
    [
        (b"", {}, errors.InvalidImage, "image"),
        (b"text", {}, errors.InvalidImage, "image"),
        (b"photo.jpg", {}, errors.InvalidImage, "image"),
        (PICTURE[:-20], {}, errors.InvalidImage, "image"),
        (7, {}, errors.InvalidImage, "the image is a int, expected bytes, a path"),
        (np.zeros((30, 60, 3)), {}, errors.InvalidImage, "the array is float64"),
        (bytes(3 * MAX_BODY), {}, errors.ImageTooLarge, "larger"),
        (PICTURE, {"options": Options(classes=("unicorn",))}, errors.InvalidOption, "unicorn"),
        (PICTURE, {"options": TYPING(classes="unicorn")}, errors.InvalidOption, "'unicorn'"),
        (PICTURE, {"options": Options(classes=())}, errors.InvalidOption, "classes is empty"),
        (PICTURE, {"options": Options(score_threshold=2)}, errors.InvalidOption, "score_threshold"),
        (
            PICTURE,
            {"options": Options(score_threshold=NAN)},
            errors.InvalidOption,
            "score_threshold",
        ),
        (PICTURE, {"options": Options(max_instances=0)}, errors.InvalidOption, "max_instances"),
        (PICTURE, {"options": TYPING(masks="png")}, errors.InvalidOption, "masks is 'png'"),
        (PICTURE, {"model": "toy", "version": "7"}, errors.ModelNotFound, "there is no model toy 7"),
        (PICTURE, {"model": "m" * 20_000}, errors.ModelNotFound, "there is no model m"),
    ],
)
async def test_the_same_mistake_is_the_same_error(
    ask: Ask, image: Any, asked: dict[str, Any], kind: type[Exception], clue: str
) -> None:
    with pytest.raises(kind, match=clue) as caught:
        await ask(image, **asked)
    assert type(caught.value) is kind


async def test_without_masks_there_is_nothing_to_decode(ask: Ask) -> None:
    found = await ask(PICTURE, Options(masks="none"))
    with pytest.raises(ValueError, match="the answer has no masks"):
        decode_masks(found)
    nothing = await ask(PICTURE, Options(masks="none", score_threshold=1))
    assert decode_masks(nothing).shape == (0, 30, 60)


@pytest.mark.parametrize("model", [FakeModel(before=lambda: 1 // 0)])
async def test_a_fault_of_the_service_is_its_own(ask: Ask) -> None:
    failing = pytest.raises(errors.BlitzError, match="the service failed on this request")
    with capture_logs(), failing as caught:
        await ask(PICTURE)
    assert type(caught.value) is errors.BlitzError


async def test_a_full_house_is_told_as_such(ask: Ask, engine: Engine) -> None:
    engine.admission.close()
    engine.admission = Admission(1, 0)
    gate = Gate()
    held = asyncio.ensure_future(engine.admission.run(lambda waited: gate()))
    await gate.reached()
    with pytest.raises(errors.Overloaded):
        await ask(PICTURE)
    gate.open()
    await held


async def test_a_service_whose_models_load_is_unavailable(connect: Callable[[Addresses], Any]) -> None:
    async with serving(Engine(Admission(1, 1), Metrics(), timeout_s=10)) as addresses:
        client = connect(addresses)
        with pytest.raises(errors.Unavailable, match="models are loading"):
            await call(client.segment, PICTURE)
        await call(client.close)


async def test_where_no_server_is_that_is_said_with_its_address(connect: Callable[[Addresses], Any]) -> None:
    client = connect(Addresses("http://127.0.0.1:1", "127.0.0.1:1"))
    where = r"the server at (http://)?127\.0\.0\.1:1 is not available: "
    with pytest.raises(errors.Unavailable, match=where + ".*([Rr]efused|failed)$"):
        await call(client.segment, PICTURE)
    await call(client.close)


async def test_models_tells_what_answers_and_what_does_not(client: Any) -> None:
    listed = await call(client.models)
    assert [(model.name, model.version) for model in listed.models] == [("toy", "1"), ("other", "2")]
    assert (listed.refused, listed.unloaded) == ({"broken": "its hash is wrong"}, ("birch",))
    first: ModelInfo = listed.models[0]
    assert first.input == Size(32, 32)
    assert first.categories == {"cat": 3, "dog": 8}
    assert first.backend == FakeModel().backend.describe()
