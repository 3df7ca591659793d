"""The Open Inference Protocol gives the native answer, number for number, in every encoding."""

import base64
import io
import json
import struct
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc
import httpx
import numpy as np
import pytest

from service.rpc.generated import grpc_predict_v2_pb2 as pb
from service.rpc.generated import grpc_predict_v2_pb2_grpc as pb_grpc
from service.rpc.server import RpcServer
from service.serving.engine import Engine
from service.telemetry.tracing import Span, SpanData, TraceContext
from tests.contract.conftest import MAX_BODY, Ask, Reply
from tests.fakes import encode_picture

Outputs: TypeAlias = dict[str, list[Any]]

KINDS = {400: "mend", 404: "missing"}
CODES = {grpc.StatusCode.INVALID_ARGUMENT: "mend", grpc.StatusCode.NOT_FOUND: "missing"}
FORMS: dict[str, np.dtype[Any]] = {"FP32": np.dtype("<f4"), "INT64": np.dtype("<i8")}


@pytest.fixture
async def oip(engine: Engine) -> AsyncIterator[pb_grpc.GRPCInferenceServiceStub]:
    server = RpcServer(engine, max_body=MAX_BODY)
    port = await server.start("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield pb_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # protoc's
    await server.stop(0)


def pack_image(image: bytes) -> bytes:
    return struct.pack("<I", len(image)) + image


def unpack(output: dict[str, Any], raw: bytes) -> list[Any]:
    """The elements of a tensor, nested by its shape, text for BYTES; an implementation of its own, to check
    that of the service.
    """
    if output["datatype"] != "BYTES":
        array = np.frombuffer(raw, FORMS[output["datatype"]])
        return list(array.reshape([int(extent) for extent in output["shape"]]).tolist())
    texts = []
    while raw:
        end = 4 + struct.unpack("<I", raw[:4])[0]
        texts.append(raw[4:end].decode())
        raw = raw[end:]
    return texts


async def ask_json(
    client: httpx.AsyncClient, path: str, image: bytes, asked: dict[str, Any]
) -> httpx.Response:
    data = [base64.b64encode(image).decode()]
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": data}
    return await client.post(path, json={"inputs": [tensor], "parameters": asked})


async def ask_binary(
    client: httpx.AsyncClient, path: str, image: bytes, asked: dict[str, Any]
) -> httpx.Response:
    raw = pack_image(image)
    tensor = {
        "name": "image",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"binary_data_size": len(raw)},
    }
    head = json.dumps({"inputs": [tensor], "parameters": asked | {"binary_data_output": True}}).encode()
    headers = {"inference-header-content-length": str(len(head))}
    return await client.post(path, content=head + raw, headers=headers)


def read_json(answer: httpx.Response) -> Outputs:
    return {
        output["name"]: np.array(output["data"]).reshape(output["shape"]).tolist()
        for output in answer.json()["outputs"]
    }


def read_binary(answer: httpx.Response) -> Outputs:
    size = int(answer.headers["inference-header-content-length"])
    outputs, rest = json.loads(answer.content[:size])["outputs"], answer.content[size:]
    found = {}
    for output in outputs:
        count = output["parameters"]["binary_data_size"]
        found[output["name"]], rest = unpack(output, rest[:count]), rest[count:]
    assert not rest
    return found


def to_message(image: bytes, asked: dict[str, Any], model: str, version: str = "") -> pb.ModelInferRequest:
    kinds = {float: "double_param", int: "int64_param", str: "string_param"}
    tensor = pb.ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])
    parameters = {name: pb.InferParameter(**{kinds[type(value)]: value}) for name, value in asked.items()}
    return pb.ModelInferRequest(
        inputs=[tensor],
        raw_input_contents=[pack_image(image)],
        parameters=parameters,
        model_name=model,
        model_version=version,
    )


def read_message(answer: pb.ModelInferResponse) -> Outputs:
    return {
        output.name: unpack({"datatype": output.datatype, "shape": output.shape}, raw)
        for output, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }


def native_to_outputs(content: dict[str, Any]) -> Outputs:
    """The protocol's outputs that follow from the native JSON; its floats are FP32."""
    instances = content["instances"]
    outputs = {
        "image_size": [content["image"]["height"], content["image"]["width"]],
        "boxes": np.array([each["bbox"] for each in instances], np.float32).reshape(-1, 4).tolist(),
        "scores": np.array([each["score"] for each in instances], np.float32).tolist(),
        "labels": [each["label"] for each in instances],
        "category_ids": [each["category_id"] for each in instances],
    }
    if all("segmentation" in each for each in instances):
        outputs["areas"] = [each["area"] for each in instances]
        outputs["rles"] = [each["segmentation"]["counts"] for each in instances]
    return outputs


@pytest.mark.parametrize("size", [(61, 37), (1, 1), (640, 480)])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"masks": "none"},
        {"score_threshold": 0.1, "max_instances": 1, "classes": "cat"},
        {"classes": "dog"},
        {"score_threshold": 5 / 6},
        {"score_threshold": 0.8333333333333335},
    ],
)
async def test_all_encodings_give_the_native_numbers(
    ask_rest: Ask,
    client: httpx.AsyncClient,
    oip: pb_grpc.GRPCInferenceServiceStub,
    size: tuple[int, int],
    asked: dict[str, Any],
) -> None:
    picture = encode_picture(*size)
    native = (await ask_rest(picture, model="other", **asked)).content
    assert native is not None
    expected, path = native_to_outputs(native), "/v2/models/other/versions/2/infer"
    json_floats = read_json(await ask_json(client, path, picture, asked))
    for name in ("boxes", "scores"):  # the shortest decimals of an FP32 are read as doubles
        json_floats[name] = np.array(json_floats[name], np.float32).tolist()
    assert json_floats == expected
    assert read_binary(await ask_binary(client, path, picture, asked)) == expected
    message = to_message(picture, asked, "other", "2")
    assert read_message(await oip.ModelInfer(message)) == expected


@pytest.mark.parametrize(
    ("model", "version", "asked"),
    [
        ("none", "", {}),
        ("other", "9", {}),
        ("toy", "", {"max_instances": 101}),
        ("toy", "", {"classes": "cat,unicorn"}),
    ],
)
async def test_refusals_are_the_native_ones(
    ask_rest: Ask,
    client: httpx.AsyncClient,
    oip: pb_grpc.GRPCInferenceServiceStub,
    model: str,
    version: str,
    asked: dict[str, Any],
) -> None:
    picture = encode_picture()
    native = await ask_rest(picture, model=model, version=version, **asked)
    path = f"/v2/models/{model}{f'/versions/{version}' if version else ''}/infer"
    answer = await ask_binary(client, path, picture, asked)
    assert Reply(refusal=KINDS[answer.status_code], text=answer.json()["error"]) == native
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await oip.ModelInfer(to_message(picture, asked, model, version))
    assert Reply(refusal=CODES[caught.value.code()], text=str(caught.value.details())) == native


@pytest.mark.parametrize(
    "image", [b"", b"this is not an image", encode_picture()[:40]], ids=["empty", "text", "cut"]
)
async def test_images_are_refused_as_natively(
    ask_rest: Ask, client: httpx.AsyncClient, oip: pb_grpc.GRPCInferenceServiceStub, image: bytes
) -> None:
    native = await ask_rest(image)
    answer = await ask_json(client, "/v2/models/toy/infer", image, {})
    assert KINDS[answer.status_code] == native.refusal
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await oip.ModelInfer(to_message(image, {}, "toy"))
    assert str(caught.value.details()) == answer.json()["error"]


@pytest.mark.parametrize("name", ["toy", "toy.tensors", "other"])
async def test_models_are_described_alike(
    client: httpx.AsyncClient, oip: pb_grpc.GRPCInferenceServiceStub, name: str
) -> None:
    rest = (await client.get(f"/v2/models/{name}")).json()
    rpc = await oip.ModelMetadata(pb.ModelMetadataRequest(name=name))
    assert (rpc.name, list(rpc.versions), rpc.platform) == (rest["name"], rest["versions"], rest["platform"])
    for theirs, ours in ((rpc.inputs, rest["inputs"]), (rpc.outputs, rest["outputs"])):
        assert [
            {"name": each.name, "datatype": each.datatype, "shape": list(each.shape)} for each in theirs
        ] == ours
    config = (await client.get(f"/v2/models/{name}/config")).json()
    message = (await oip.ModelConfig(pb.ModelConfigRequest(name=name))).config
    assert message.max_batch_size == config["max_batch_size"]
    for field in ("input", "output"):
        assert [list(each.dims) for each in getattr(message, field)] == [
            each["dims"] for each in config[field]
        ]
        kinds = [pb.DataType.Name(each.data_type) for each in getattr(message, field)]
        assert kinds == [each["data_type"] for each in config[field]]


class Notebook:
    """A tracer that keeps the spans."""

    context = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")

    def __init__(self) -> None:
        self.ended: list[SpanData] = []

    def begin(self, traceparent: str | None, tracestate: str | None) -> Span:
        return self

    def end(self, data: SpanData) -> None:
        self.ended.append(data)

    def close(self) -> None:
        pass


BACKEND = {
    "runtime": "fake",
    "runtime_version": "1.0",
    "precision": "fp32",
    "threads": 1,
    "asked": "CPU",
    "in_effect": "CPU",
}


async def test_answers_spans_and_log_lines_tell_what_native_ones_do(
    engine: Engine,
    client: httpx.AsyncClient,
    oip: pb_grpc.GRPCInferenceServiceStub,
    lines: io.StringIO,
) -> None:
    engine.tracer = notebook = Notebook()
    answer = await ask_json(client, "/v2/models/toy/infer", encode_picture(), {})
    assert answer.json()["parameters"] == BACKEND
    assert answer.headers["server-timing"].startswith("queue;dur=")
    assert "infer;dur=10.000" in answer.headers["server-timing"]
    message = await oip.ModelInfer(to_message(encode_picture(), {}, "toy"))
    told = {
        name: getattr(each, str(each.WhichOneof("parameter_choice")))
        for name, each in message.parameters.items()
    }
    assert told == BACKEND
    assert [data.stages_ms["infer"] for data in notebook.ended] == [10, 10]
    assert all("render" in data.stages_ms for data in notebook.ended)
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(line["model"], line["instances"]) for line in found] == [("toy", 1)] * 2


async def test_pixels_are_traced_and_logged_without_instances(
    engine: Engine, client: httpx.AsyncClient, lines: io.StringIO
) -> None:
    engine.tracer = notebook = Notebook()
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": [1, 32, 32, 3], "data": [0] * 3072}
    answer = await client.post("/v2/models/toy.tensors/infer", json={"inputs": [tensor]})
    assert answer.json()["parameters"] == BACKEND
    (data,) = notebook.ended
    assert data.stages_ms["infer"] > 0
    line = json.loads(lines.getvalue())
    assert line["model"] == "toy.tensors"
    assert "instances" not in line


async def test_both_transports_count_together(
    client: httpx.AsyncClient, oip: pb_grpc.GRPCInferenceServiceStub
) -> None:
    picture = encode_picture()
    await ask_binary(client, "/v2/models/toy/infer", picture, {})
    await oip.ModelInfer(to_message(picture, {}, "toy"))
    (rest,) = (await client.get("/v2/models/toy/stats")).json()["model_stats"]
    (rpc,) = (await oip.ModelStatistics(pb.ModelStatisticsRequest(name="toy"))).model_stats
    assert rest["inference_count"] == rpc.inference_count == 2
    assert rest["inference_stats"]["success"]["ns"] == rpc.inference_stats.success.ns
    index = (await client.post("/v2/repository/index")).json()
    models = (await oip.RepositoryIndex(pb.RepositoryIndexRequest())).models
    assert [(each.name, each.version, each.state, each.reason) for each in models] == [
        tuple(entry.values()) for entry in index
    ]
