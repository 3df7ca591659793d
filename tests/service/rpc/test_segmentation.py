"""Segment and ListModels over a real channel."""

import asyncio
import logging

import grpc
import pytest

from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.generated import segmentation_pb2_grpc as pb_grpc
from service.serving.engine import Engine
from tests.fakes import SCORE, FakeModel, Gate, encode_picture
from tests.running import PATIENCE_S

PICTURE = encode_picture(60, 30)


async def refusal(
    call: "grpc.aio.UnaryUnaryCall[pb.SegmentRequest, pb.SegmentResponse]",
) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_an_image_gives_its_instances(stub: pb_grpc.SegmentationServiceStub) -> None:
    answer = await stub.Segment(pb.SegmentRequest(image=PICTURE))
    (instance,) = answer.instances
    assert (answer.image.height, answer.image.width) == (30, 60)
    assert (answer.model, answer.version, answer.backend.runtime) == ("toy", "1", "fake")
    assert (instance.label, instance.category_id, instance.score) == ("cat", 3, SCORE)
    assert list(instance.bbox) == [20, 10, 20, 10]
    assert instance.area == 200
    assert list(instance.rle.size) == [30, 60]
    assert answer.timings_ms.infer == 10
    assert answer.timings_ms.queue >= 0


async def test_options_reach_the_model(stub: pb_grpc.SegmentationServiceStub) -> None:
    options = pb.SegmentOptions(model="other", version="2", classes=["cat"], masks=pb.MASK_FORMAT_NONE)
    answer = await stub.Segment(pb.SegmentRequest(image=PICTURE, options=options))
    assert answer.model == "other"
    assert answer.instances[0].WhichOneof("segmentation") is None
    assert not answer.instances[0].HasField("area")
    options = pb.SegmentOptions(score_threshold=0.99)
    assert not (await stub.Segment(pb.SegmentRequest(image=PICTURE, options=options))).instances


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (pb.SegmentRequest(), "INVALID_ARGUMENT", "no image: 0 bytes"),
        (pb.SegmentRequest(image=b"text"), "INVALID_ARGUMENT", ""),
        (pb.SegmentRequest(image=PICTURE, options=pb.SegmentOptions(model="none")), "NOT_FOUND", "none"),
        (pb.SegmentRequest(image=PICTURE, options=pb.SegmentOptions(version="9")), "NOT_FOUND", "9"),
        (
            pb.SegmentRequest(image=PICTURE, options=pb.SegmentOptions(score_threshold=2)),
            "INVALID_ARGUMENT",
            "score_threshold is 2",
        ),
        (
            pb.SegmentRequest(image=PICTURE, options=pb.SegmentOptions(max_instances=0)),
            "INVALID_ARGUMENT",
            "max_instances is 0",
        ),
        (
            pb.SegmentRequest(image=PICTURE, options=pb.SegmentOptions(classes=["unicorn"])),
            "INVALID_ARGUMENT",
            "'unicorn'",
        ),
        (pb.SegmentRequest.FromString(b"\xa0\x06\x01"), "INVALID_ARGUMENT", "no field 100"),
    ],
)
async def test_a_request_that_can_be_mended_is_told_how(
    stub: pb_grpc.SegmentationServiceStub, request_: pb.SegmentRequest, code: str, text: str
) -> None:
    error = await refusal(stub.Segment(request_))
    assert error.code().name == code
    assert text in str(error.details())


async def test_a_message_beyond_the_limit_is_refused(stub: pb_grpc.SegmentationServiceStub) -> None:
    error = await refusal(stub.Segment(pb.SegmentRequest(image=bytes(200_000))))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await stub.Segment(pb.SegmentRequest(image=PICTURE))


async def test_a_request_id_comes_back_and_a_missing_one_is_made(
    stub: pb_grpc.SegmentationServiceStub,
) -> None:
    call = stub.Segment(pb.SegmentRequest(image=PICTURE), metadata=(("x-request-id", "cam-7"),))
    await call
    assert dict(await call.trailing_metadata())["x-request-id"] == "cam-7"
    error = await refusal(stub.Segment(pb.SegmentRequest(image=b"text")))
    assert len(str(dict(error.trailing_metadata())["x-request-id"])) == 32


async def test_models_are_listed_with_the_default_first(stub: pb_grpc.SegmentationServiceStub) -> None:
    answer = await stub.ListModels(pb.ListModelsRequest())
    assert [(model.name, model.version) for model in answer.models] == [("toy", "1"), ("other", "2")]
    assert list(answer.models[0].labels) == ["cat", "dog"]
    assert [(category.id, category.name) for category in answer.models[0].categories] == [
        (3, "cat"),
        (8, "dog"),
    ]
    assert dict(answer.refused) == {"broken": "its hash is wrong"}


async def test_calls_are_counted_by_outcome(stub: pb_grpc.SegmentationServiceStub, engine: Engine) -> None:
    await stub.Segment(pb.SegmentRequest(image=PICTURE))
    await refusal(stub.Segment(pb.SegmentRequest(image=b"text")))
    text = engine.metrics.exposition().decode()
    assert 'requests_total{method="Segment",outcome="ok",transport="grpc"} 1.0' in text
    assert 'requests_total{method="Segment",outcome="InvalidImage",transport="grpc"} 1.0' in text


class TestUnknownErrors:
    @pytest.fixture
    def model(self) -> FakeModel:
        def fail() -> None:
            raise RuntimeError("swordfish")

        return FakeModel(before=fail)

    async def test_they_leak_nothing_and_the_server_goes_on(
        self, stub: pb_grpc.SegmentationServiceStub, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.CRITICAL)
        error = await refusal(stub.Segment(pb.SegmentRequest(image=PICTURE)))
        assert error.code() == grpc.StatusCode.INTERNAL
        assert "swordfish" not in str(error.details())
        assert (await stub.ListModels(pb.ListModelsRequest())).models


class TestPressure:
    @pytest.fixture
    def gate(self) -> Gate:
        return Gate()

    @pytest.fixture
    def model(self, gate: Gate) -> FakeModel:
        return FakeModel(before=gate)

    async def until_waiting(self, engine: Engine, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while engine.admission.waiting != count:
                await asyncio.sleep(0.001)

    async def test_a_full_service_refuses_at_once(
        self, stub: pb_grpc.SegmentationServiceStub, engine: Engine, gate: Gate
    ) -> None:
        first = stub.Segment(pb.SegmentRequest(image=PICTURE))
        await gate.reached()
        second = stub.Segment(pb.SegmentRequest(image=PICTURE))
        await self.until_waiting(engine, 1)
        error = await refusal(stub.Segment(pb.SegmentRequest(image=PICTURE)))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        gate.open()
        assert (await first).instances
        assert (await second).instances

    async def test_what_waits_past_the_calls_deadline_is_not_computed(
        self, stub: pb_grpc.SegmentationServiceStub, engine: Engine, gate: Gate, model: FakeModel
    ) -> None:
        first = stub.Segment(pb.SegmentRequest(image=PICTURE))
        await gate.reached()
        error = await refusal(stub.Segment(pb.SegmentRequest(image=PICTURE), timeout=0.05))
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        await self.until_waiting(engine, 0)
        gate.open()
        await first
        assert len(model.seen) == 1

    async def test_a_cancelled_call_leaves_the_queue(
        self, stub: pb_grpc.SegmentationServiceStub, engine: Engine, gate: Gate, model: FakeModel
    ) -> None:
        first = stub.Segment(pb.SegmentRequest(image=PICTURE))
        await gate.reached()
        second = stub.Segment(pb.SegmentRequest(image=PICTURE))
        await self.until_waiting(engine, 1)
        second.cancel()
        await self.until_waiting(engine, 0)
        gate.open()
        await first
        assert len(model.seen) == 1
        assert b'outcome="gone"' in engine.metrics.exposition()
