"""A network of every family answers over every transport, in every form, for every image, and in streams.

The families of other tools are toy graphs. Those that `training` has networks of are exports of these.
"""

from collections.abc import AsyncIterator
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from service.inference.backends import BackendChoice
from service.inference.masks.forms import form_to_mask
from service.inference.segmenter import Segmenter, open_model
from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.generated import segmentation_pb2_grpc as pb_grpc
from service.serving.admission import Admission
from service.serving.engine import Engine
from service.telemetry.metrics import Metrics
from service.types import Instance, Mask, MaskFormat, Options, Pixels, Size
from tests.contract.conftest import Ask
from tests.contract.networks import ARCHITECTURES, LABELS, answer_by_pytorch, write_network
from tests.contract.test_oip import ask_binary, native_to_outputs, read_binary
from tests.fakes import FakeCatalog, encode_picture
from tests.service.inference.graphs import BUILDERS, write_family

PICTURE = encode_picture(90, 60)
EXPORTED = [pytest.param(name, marks=pytest.mark.slow) for name in ARCHITECTURES]
FORMS: tuple[MaskFormat, ...] = ("rle", "rle_crop", "polygon")


@pytest.fixture(scope="module", params=[*BUILDERS, *EXPORTED])
def segmenter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    write = write_network if request.param in ARCHITECTURES else write_family
    folder = write(tmp_path_factory.mktemp("families") / request.param, request.param)
    return open_model(folder, BackendChoice())


@pytest.fixture
async def engine(segmenter: Segmenter) -> AsyncIterator[Engine]:
    """In place of the engine of the fake model."""
    engine = Engine(Admission(1, 1), Metrics(), timeout_s=30)
    engine.use(FakeCatalog(segmenter))  # type: ignore[arg-type]  # a Segmenter is a model, too
    yield engine
    engine.admission.close()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"masks": "none"},
        {"masks": "rle_crop"},
        {"masks": "polygon"},
        {"score_threshold": 0.01, "max_instances": 2},
        {"classes": ["rose"]},
        {"nms": "all"},
    ],
    ids=str,
)
async def test_answers_are_equal_over_both_transports(
    ask_rest: Ask, ask_grpc: Ask, options: dict[str, Any]
) -> None:
    asked = {**options, "nms": "NMS_ALL"} if "nms" in options else options
    rest, rpc = await ask_rest(PICTURE, **options), await ask_grpc(PICTURE, **asked)
    assert rest.content is not None
    assert rpc.content is not None
    for content in (rest.content, rpc.content):
        del content["timings_ms"]
    assert rest.content == rpc.content


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (48, 48), (640, 480)])
async def test_images_of_every_size_have_instances_inside_them(ask_rest: Ask, size: tuple[int, int]) -> None:
    width, height = size
    content = (await ask_rest(encode_picture(width, height), score_threshold=0.05)).content
    assert content is not None
    assert content["image"] == {"height": height, "width": width}
    for instance in content["instances"]:
        x, y, wide, high = instance["bbox"]
        assert 0 <= x < x + wide <= width + 1e-3
        assert 0 <= y < y + high <= height + 1e-3
        assert 0 <= instance["area"] <= width * height


async def test_open_inference_protocol_gives_the_native_answer(
    ask_rest: Ask, client: httpx.AsyncClient, segmenter: Segmenter
) -> None:
    native = (await ask_rest(PICTURE)).content
    assert native is not None
    answer = await ask_binary(client, f"/v2/models/{segmenter.card.name}/infer", PICTURE, {})
    assert read_binary(answer) == native_to_outputs(native)


async def test_open_inference_protocol_gives_the_heads(
    client: httpx.AsyncClient, segmenter: Segmenter
) -> None:
    card = segmenter.card
    pixels = draw_noise(card.canvas)[None]
    tensor = {
        "name": "pixels",
        "datatype": "UINT8",
        "shape": pixels.shape,
        "data": pixels.reshape(-1).tolist(),
    }
    answer = await client.post(f"/v2/models/{card.name}.tensors/infer", json={"inputs": [tensor]})
    heads = segmenter.backend.run(pixels)
    outputs = answer.json()["outputs"]
    assert {output["name"] for output in outputs} == card.outputs.keys()
    for output in outputs:
        found = np.array(output["data"]).reshape(output["shape"])
        np.testing.assert_allclose(found, heads[output["name"]], rtol=1e-6)


async def test_a_stream_tracks_the_instances(stub: pb_grpc.SegmentationServiceStub) -> None:
    asked = pb.StreamOptions(policy=pb.FRAME_POLICY_ALL, track=True)
    frames = [pb.Frame(frame_id=n, capture_time_us=n * 40_000, image=PICTURE) for n in range(5)]
    results = [result async for result in stub.SegmentStream(iter([pb.Frame(options=asked), *frames]))]
    seen = [
        {each.track_id for each in result.response.instances if each.HasField("track_id")}
        for result in results
    ]
    assert len(seen) == 5
    assert seen[-1] == seen[-2] != set()


def test_all_forms_of_a_mask_are_the_same_pixels(segmenter: Segmenter) -> None:
    pixels = draw_noise(Size(60, 90))
    rles, crops, polygons = (
        segmenter.segment_pixels(pixels, Options(score_threshold=0.05, masks=form)) for form in FORMS
    )
    assert rles.instances
    for rle, *others in zip(rles.instances, crops.instances, polygons.instances, strict=True):
        mask = read_mask(rle, rles.image)
        assert mask.sum() == rle.area
        for other in others:
            np.testing.assert_array_equal(read_mask(other, rles.image), mask)


@pytest.mark.parametrize(
    "segmenter",
    ["mask_list", "kernels", "queries-boxless", pytest.param("csr_d2s", marks=pytest.mark.slow)],
    indirect=True,
)
def test_a_network_without_boxes_gives_the_extents_of_its_masks(segmenter: Segmenter) -> None:
    pixels = draw_noise(Size(60, 90))
    answer = segmenter.segment_pixels(pixels, Options(score_threshold=0.05))
    unmasked = segmenter.segment_pixels(pixels, Options(score_threshold=0.05, masks="none"))
    assert answer.instances
    assert [each.bbox for each in unmasked.instances] == [each.bbox for each in answer.instances]
    for instance in answer.instances:
        rows, columns = read_mask(instance, answer.image).nonzero()
        x, y = columns.min(), rows.min()
        assert instance.bbox == (x, y, columns.max() + 1 - x, rows.max() + 1 - y)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools and numpy 2
@pytest.mark.parametrize("segmenter", EXPORTED, indirect=True)
async def test_both_transports_give_the_answers_of_pytorch(
    ask_rest: Ask, ask_grpc: Ask, segmenter: Segmenter
) -> None:
    card = segmenter.card
    pixels = draw_noise(card.canvas)
    picture = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
    expected = answer_by_pytorch(card.name, pixels, 0.3)
    assert len(expected) > 3
    for ask in (ask_rest, ask_grpc):
        content = (await ask(picture, score_threshold=0.3)).content
        assert content is not None
        found = content["instances"]
        assert [each["label"] for each in found] == [LABELS[each.channel].name for each in expected]
        assert [each["score"] for each in found] == pytest.approx([each.score for each in expected], abs=1e-4)
        for instance, wanted in zip(found, expected, strict=True):
            mask = coco_mask.decode(instance["segmentation"]).astype(bool)
            assert (mask != wanted.mask.numpy()).mean() < 1e-3


def draw_noise(size: Size) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (size.height, size.width, 3)).astype(np.uint8)


def read_mask(instance: Instance, image: Size) -> Mask:
    assert instance.segmentation is not None
    return form_to_mask(instance.segmentation, image)
