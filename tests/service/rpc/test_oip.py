"""inference.GRPCInferenceService over a real channel."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any

import grpc
import numpy as np
import pytest

from service.inference.card import Input
from service.oip.tensors import BYTES, Tensor, write_tensor
from service.rpc.generated import grpc_predict_v2_pb2 as pb
from service.rpc.generated import grpc_predict_v2_pb2_grpc as pb_grpc
from service.rpc.server import RpcServer
from service.security.callers import Rules
from service.serving.engine import Engine
from tests.fakes import FakeModel, Gate, encode_picture
from tests.running import PATIENCE_S

PICTURE = encode_picture()
RAW = write_tensor(Tensor("image", BYTES, np.array([PICTURE], object)))

Stub = pb_grpc.GRPCInferenceServiceStub


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Stub:
    return pb_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # protoc's


def ask_image(number: int = 0, **changes: Any) -> pb.ModelInferRequest:
    tensor = pb.ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])
    fields = {"model_name": "toy", "id": str(number), "inputs": [tensor], "raw_input_contents": [RAW]}
    return pb.ModelInferRequest(**(fields | changes))


def ask_pixels(count: int = 1) -> pb.ModelInferRequest:
    shape = [count, 32, 32, 3]
    contents = pb.InferTensorContents(uint_contents=[7] * count * 3072)
    tensor = pb.ModelInferRequest.InferInputTensor(
        name="pixels", datatype="UINT8", shape=shape, contents=contents
    )
    return pb.ModelInferRequest(model_name="toy.tensors", inputs=[tensor])


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), str(caught.value.details())


async def answers(stub: Stub, requests: Iterable[pb.ModelInferRequest]) -> list[pb.ModelStreamInferResponse]:
    return [answer async for answer in stub.ModelStreamInfer(iter(requests))]


async def test_elements_may_be_raw_or_one_by_one(stub: Stub) -> None:
    typed = ask_image(raw_input_contents=[])
    typed.inputs[0].contents.bytes_contents.append(PICTURE)
    assert await stub.ModelInfer(typed) == await stub.ModelInfer(ask_image())


async def test_pixels_give_the_heads_asked_for(stub: Stub) -> None:
    request = ask_pixels(2)
    request.outputs.add(name="size")
    answer = await stub.ModelInfer(request)
    (output,) = answer.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("size", "FP32", [2, 8, 8, 4])
    heads = np.frombuffer(answer.raw_output_contents[0], np.float32)
    assert heads.tolist() == [7, 8, 9, 10] * 128


async def test_a_model_of_pictures_as_they_are_takes_any_size(stub: Stub, model: FakeModel) -> None:
    model.card = model.card.model_copy(update={"input": Input(height=32, width=32, fit="as_is")})
    request = ask_pixels()
    request.inputs[0].shape[1:3] = [16, 64]
    answer = await stub.ModelInfer(request)
    assert {output.name for output in answer.outputs} == set(model.card.outputs)


def _two_raws(request: pb.ModelInferRequest) -> None:
    request.raw_input_contents.append(b"")


def _both(request: pb.ModelInferRequest) -> None:
    request.inputs[0].contents.bytes_contents.append(PICTURE)


def _neither(request: pb.ModelInferRequest) -> None:
    del request.raw_input_contents[:]


def _too_many(request: pb.ModelInferRequest) -> None:
    del request.raw_input_contents[:]
    request.inputs[0].contents.bytes_contents.extend([PICTURE, PICTURE])


def _other_type(request: pb.ModelInferRequest) -> None:
    request.inputs[0].datatype = "FP16"


def _no_value(request: pb.ModelInferRequest) -> None:
    request.parameters["masks"].SetInParent()


def _shared_memory(request: pb.ModelInferRequest) -> None:
    request.inputs[0].parameters["shared_memory_region"].string_param = "x"


def _unknown_field(request: pb.ModelInferRequest) -> None:
    request.MergeFromString(b"\xfa\x01\x01x")


@pytest.mark.parametrize(
    ("spoil", "clue"),
    [
        (_two_raws, "1 inputs and 2 raw"),
        (_both, "beside raw_input_contents"),
        (_neither, "0 elements"),
        (_too_many, "has 2 elements, at most 1 are taken"),
        (_other_type, "datatype FP16, expected BYTES"),
        (_no_value, "parameter masks has no value"),
        (_shared_memory, "shared_memory_region"),
        (_unknown_field, "no field 31"),
    ],
)
async def test_what_cannot_be_used_is_refused(
    stub: Stub, spoil: Callable[[pb.ModelInferRequest], None], clue: str
) -> None:
    request = ask_image()
    spoil(request)
    code, text = await refusal(stub.ModelInfer(request))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert clue in text


async def test_parameters_that_nobody_here_knows_are_ignored(stub: Stub) -> None:
    """kserve's client sends `binary_data_size` with each tensor, Triton's may send `classification`."""
    request = ask_image()
    request.parameters["speed"].int64_param = 1
    request.inputs[0].parameters["binary_data_size"].int64_param = len(RAW)
    request.outputs.add(name="scores").parameters["classification"].int64_param = 3
    assert [output.name for output in (await stub.ModelInfer(request)).outputs] == ["scores"]


async def test_a_model_that_nobody_knows(stub: Stub) -> None:
    request = pb.ModelMetadataRequest(name="none")
    assert (await refusal(stub.ModelMetadata(request)))[0] == grpc.StatusCode.NOT_FOUND
    assert not (await stub.ModelReady(pb.ModelReadyRequest(name="none"))).ready
    assert (await stub.ModelReady(pb.ModelReadyRequest(name="other.tensors", version="2"))).ready


async def test_readiness_is_that_of_the_service(stub: Stub, engine: Engine) -> None:
    assert (await stub.ServerReady(pb.ServerReadyRequest())).ready
    engine.stop()
    assert not (await stub.ServerReady(pb.ServerReadyRequest())).ready
    assert not (await stub.ModelReady(pb.ModelReadyRequest(name="toy"))).ready
    assert (await stub.ServerLive(pb.ServerLiveRequest())).live


async def test_a_stream_answers_in_order_and_survives_what_fails(stub: Stub, engine: Engine) -> None:
    requests = [ask_image(number) for number in range(8)]
    requests[3].model_name = "none"
    requests[5].raw_input_contents[0] = b"\x01\0\0\0x"
    found = await answers(stub, requests)
    assert [answer.infer_response.id for answer in found] == [str(number) for number in range(8)]
    assert [number for number, answer in enumerate(found) if answer.error_message] == [3, 5]
    for answer in found:
        assert bool(answer.infer_response.outputs) == (not answer.error_message)
    assert found[0].infer_response.parameters["triton_final_response"].bool_param
    assert engine.streams == 0


async def test_a_streams_requests_share_the_slots(stub: Stub, model: FakeModel, engine: Engine) -> None:
    gate = Gate()
    model._before = gate
    running = asyncio.create_task(answers(stub, [ask_image(number) for number in range(20)]))
    await gate.reached()
    await asyncio.sleep(0.1)
    assert engine.admission.waiting == 1  # one more than there are slots, so that none idles
    gate.open()
    assert not [answer.error_message for answer in await running if answer.error_message]


async def test_streams_are_limited(stub: Stub, engine: Engine) -> None:
    engine.max_streams = 0
    assert (await refusal(stub.ModelStreamInfer().read()))[0] == grpc.StatusCode.RESOURCE_EXHAUSTED


class TestPatience:
    """Seconds until a stream's first message, and between two of them: neither is the other."""

    @pytest.fixture
    def rules(self) -> Rules:
        return Rules(first_s=0.2, idle_s=PATIENCE_S)

    @pytest.fixture
    async def server(self, engine: Engine, rules: Rules) -> RpcServer:
        return RpcServer(engine, max_body=100_000, rules=rules)

    async def test_a_stream_without_a_first_message_ends(self, stub: Stub, engine: Engine) -> None:
        code, text = await refusal(stub.ModelStreamInfer().read())
        assert code == grpc.StatusCode.DEADLINE_EXCEEDED
        assert "0.2 s" in text
        assert engine.streams == 0

    async def test_the_second_message_may_take_longer(self, stub: Stub, engine: Engine) -> None:
        call = stub.ModelStreamInfer()
        for _ in range(2):
            await call.write(ask_image())
            assert (await call.read()).infer_response.outputs
            await asyncio.sleep(0.4)
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF


@pytest.mark.parametrize("length", [1000, 1001])
async def test_an_id_is_repeated_up_to_a_length(stub: Stub, length: int) -> None:
    ask = ask_image(id="x" * length)
    if length == 1000:
        assert (await stub.ModelInfer(ask)).id == ask.id
    else:
        assert "at most 1000" in (await refusal(stub.ModelInfer(ask)))[1]
    (answer,) = await answers(stub, [ask])
    assert answer.infer_response.id == "x" * 1000
    assert bool(answer.error_message) == (length > 1000)


async def test_a_stream_ends_when_the_service_stops(stub: Stub, engine: Engine) -> None:
    call = stub.ModelStreamInfer()
    await call.write(ask_image())
    assert (await call.read()).infer_response.outputs
    engine.stop()
    assert (await refusal(call.read()))[0] == grpc.StatusCode.UNAVAILABLE


async def test_a_client_that_hangs_up_frees_its_stream(stub: Stub, engine: Engine, model: FakeModel) -> None:
    gate = Gate()
    model._before = gate
    call = stub.ModelStreamInfer()
    await call.write(ask_image())
    await gate.reached()
    assert engine.streams == 1
    call.cancel()
    gate.open()
    async with asyncio.timeout(PATIENCE_S):
        while engine.streams or engine.admission.running:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("request_", [ask_image(), ask_pixels()], ids=["image", "pixels"])
async def test_slots_queue_and_patience_are_those_of_all(
    stub: Stub, engine: Engine, request_: pb.ModelInferRequest
) -> None:
    gate = Gate()
    busy = asyncio.create_task(engine.admission.run(lambda waited: gate()))
    await gate.reached()
    hasty = pb.ModelInferRequest()
    hasty.CopyFrom(request_)
    hasty.parameters["timeout"].int64_param = 10_000
    assert (await refusal(stub.ModelInfer(hasty)))[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    waiting = asyncio.ensure_future(stub.ModelInfer(request_))
    while not engine.admission.waiting:
        await asyncio.sleep(0.001)
    assert (await refusal(stub.ModelInfer(request_)))[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
    gate.open()
    assert (await waiting).outputs
    await busy


def test_names_and_numbers_are_those_of_the_public_protocol() -> None:
    """Compared with Triton's client in a process of its own: both register the package `inference`."""
    if find_spec("tritonclient") is None:
        pytest.skip("tritonclient is not installed")
    listing = (
        "def walk(message):\n"
        "    for field in message.fields:\n"
        "        kind = field.message_type or field.enum_type\n"
        "        print(message.full_name, field.name, field.number, field.type, kind and kind.full_name)\n"
        "    for nested in message.nested_types: walk(nested)\n"
        "for module in modules:\n"
        "    for message in module.DESCRIPTOR.message_types_by_name.values(): walk(message)\n"
        "    for enum in module.DESCRIPTOR.enum_types_by_name.values():\n"
        "        for value in enum.values: print(enum.full_name, value.name, value.number)\n"
        "    for service in module.DESCRIPTOR.services_by_name.values():\n"
        "        for rpc in service.methods: print(rpc.full_name, rpc.input_type.full_name,\n"
        "            rpc.output_type.full_name, rpc.client_streaming, rpc.server_streaming)\n"
    )
    ours = _run("from service.rpc.generated import grpc_predict_v2_pb2 as ours; modules = [ours]\n" + listing)
    theirs = _run(
        "from tritonclient.grpc import service_pb2, model_config_pb2 as config\n"
        "modules = [service_pb2, config]\n" + listing
    )
    assert len(ours) > 130
    assert ours <= theirs


def _run(program: str) -> set[str]:
    command = [sys.executable, "-c", program]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())
