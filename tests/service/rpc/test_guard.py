"""Keys over gRPC."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from service.rpc.generated import grpc_predict_v2_pb2 as oip
from service.rpc.generated import grpc_predict_v2_pb2_grpc as oip_grpc
from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.generated import segmentation_pb2_grpc as pb_grpc
from service.rpc.server import RpcServer
from service.security.callers import Callers, Key, Rules, hash_key
from service.serving.engine import Engine
from tests.fakes import FakeModel, encode_picture
from tests.running import PATIENCE_S

PICTURE = encode_picture()
SHOWN = (("x-api-key", "swordfish"),)
BEARER = (("authorization", "Bearer swordfish"),)
SLOW = (("x-api-key", "mackerel"),)
Metadata = tuple[tuple[str, str], ...]


@pytest.fixture
async def server(engine: Engine) -> RpcServer:
    rules = Rules(
        Callers((Key("cam-7", hash_key("swordfish")), Key("slow", hash_key("mackerel"), rate=0.01)))
    )
    return RpcServer(engine, max_body=100_000, rules=rules)


async def frames(count: int) -> AsyncIterator[pb.Frame]:
    for number in range(count):
        options = pb.StreamOptions(policy=pb.FRAME_POLICY_ALL) if number == 0 else None
        yield pb.Frame(frame_id=number, image=PICTURE, options=options)


async def silence() -> AsyncIterator[pb.Frame]:
    """A client that sends nothing; grpcio reports another error when it is refused while it sends."""
    await asyncio.Event().wait()
    yield pb.Frame()


async def samples(engine: Engine, expected: str) -> str:
    """The metrics as soon as they have the expected line, because a call is counted late."""
    async with asyncio.timeout(PATIENCE_S):
        while expected not in (text := engine.metrics.exposition().decode()):
            await asyncio.sleep(0.01)
    return text


@pytest.mark.parametrize("metadata", [SHOWN, BEARER])
async def test_who_shows_a_key_is_answered_and_counted_by_its_name(
    stub: pb_grpc.SegmentationServiceStub, engine: Engine, metadata: Metadata
) -> None:
    answer = await stub.Segment(pb.SegmentRequest(image=PICTURE), metadata=metadata)
    assert len(answer.instances) == 1
    results = [result async for result in stub.SegmentStream(frames(3), metadata=metadata)]
    assert all(result.HasField("response") for result in results)  # so a call, a stream, and 3 frames
    text = await samples(engine, 'blitzmask_key_requests_total{key="cam-7",outcome="ok"} 5.0')
    assert "swordfish" not in text


@pytest.mark.parametrize("metadata", [(), (("x-api-key", "guess"),), (("authorization", "swordfish"),)])
async def test_nobody_else_is(
    stub: pb_grpc.SegmentationServiceStub,
    channel: grpc.aio.Channel,
    engine: Engine,
    model: FakeModel,
    metadata: Metadata,
) -> None:
    inference = oip_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # protoc's
    nowhere: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        "/blitzmask.v1.SegmentationService/Nothing"
    )
    for call in (
        stub.Segment(pb.SegmentRequest(image=PICTURE), metadata=metadata),
        stub.ListModels(pb.ListModelsRequest(), metadata=metadata),
        inference.ModelReady(oip.ModelReadyRequest(name="toy"), metadata=metadata),
        inference.ModelInfer(oip.ModelInferRequest(model_name="toy"), metadata=metadata),
        nowhere(b"", metadata=metadata),
        stub.SegmentStream(silence(), metadata=metadata).read(),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert "X-API-Key" in str(caught.value.details())
        assert "x-request-id" in dict(caught.value.trailing_metadata() or ())
    assert model.seen == []
    text = await samples(engine, 'blitzmask_rejected_total{reason="Unauthorized"} 6.0')
    for method in ("Segment", "ListModels", "ModelReady", "ModelInfer", "SegmentStream", "other"):
        labels = f'method="{method}",outcome="Unauthorized",transport="grpc"'
        assert f"blitzmask_requests_total{{{labels}}} 1.0" in text
    assert "Nothing" not in text  # callers do not make up labels


async def test_probes_and_reflection_need_none(channel: grpc.aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    assert await health.Check(health_pb2.HealthCheckRequest())
    inference = oip_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # protoc's
    assert (await inference.ServerLive(oip.ServerLiveRequest())).live
    assert (await inference.ServerReady(oip.ServerReadyRequest())).ready
    reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
    call = reflection.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    assert (await call.read()).list_services_response.service


async def test_a_key_used_too_often_is_exhausted(stub: pb_grpc.SegmentationServiceStub) -> None:
    await stub.ListModels(pb.ListModelsRequest(), metadata=SLOW)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ListModels(pb.ListModelsRequest(), metadata=SLOW)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "come back in" in str(caught.value.details())
    await stub.ListModels(pb.ListModelsRequest(), metadata=SHOWN)


async def test_frames_beyond_a_keys_rate_are_refused_one_by_one(
    stub: pb_grpc.SegmentationServiceStub, model: FakeModel
) -> None:
    results = [
        result async for result in stub.SegmentStream(frames(3), metadata=SLOW)
    ]  # which uses up its one
    assert [result.error.code for result in results] == [grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]] * 3
    assert model.seen == []


class TestAdmins:
    @pytest.fixture
    async def server(self, engine: Engine) -> RpcServer:
        admin = Key("ali", hash_key("open sesame"), rate=0.01)
        return RpcServer(
            engine, max_body=100_000, rules=Rules(Callers((Key("cam-7", hash_key("swordfish")),), (admin,)))
        )

    async def test_only_they_load_and_unload_and_are_charged_once(
        self, channel: grpc.aio.Channel, engine: Engine
    ) -> None:
        inference = oip_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # protoc's
        load, unload = (
            partial(call, kind(model_name="toy"))
            for call, kind in (
                (inference.RepositoryModelLoad, oip.RepositoryModelLoadRequest),
                (inference.RepositoryModelUnload, oip.RepositoryModelUnloadRequest),
            )
        )
        for change in (load, unload):
            for metadata, code in (
                ((), grpc.StatusCode.UNAUTHENTICATED),
                (SHOWN, grpc.StatusCode.PERMISSION_DENIED),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await change(metadata=metadata)
                assert caught.value.code() == code
        await load(metadata=(("x-api-key", "open sesame"),))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await unload(metadata=(("x-api-key", "open sesame"),))
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        await samples(engine, 'blitzmask_key_requests_total{key="ali",outcome="ok"} 1.0')


class TestPatience:
    @pytest.fixture
    async def server(self, engine: Engine) -> RpcServer:
        return RpcServer(engine, max_body=100_000, rules=Rules(first_s=0.2, idle_s=0.3))

    @pytest.mark.parametrize("begun", [False, True])
    async def test_a_stream_on_which_nothing_comes_is_ended(
        self, stub: pb_grpc.SegmentationServiceStub, engine: Engine, begun: bool
    ) -> None:
        call = stub.SegmentStream()
        if begun:
            await call.write(pb.Frame(image=PICTURE))
            assert (await call.read()).HasField("response")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert f"nothing came over this stream for 0.{3 if begun else 2} seconds" in str(
            caught.value.details()
        )
        assert engine.streams == 0
