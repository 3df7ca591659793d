"""Both transports over one engine, asked in one way."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
import httpx
import pytest
from google.protobuf.json_format import MessageToDict

import service.rest.application  # noqa: F401  # so that every application is complete at once
from service.inference.images import Limits
from service.rest.server import create_app
from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.generated import segmentation_pb2_grpc as pb_grpc
from service.rpc.server import RpcServer
from service.serving.admission import Admission
from service.serving.engine import Engine
from service.telemetry.metrics import Metrics
from tests.fakes import FakeCatalog, FakeModel

MAX_BODY = 1_000_000


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as plain data, or the kind of refusal (`mend`, `missing`, or a status that is neither)."""

    content: dict[str, Any] | None = None
    refusal: str | None = None
    text: str = ""


Ask: TypeAlias = Callable[..., Awaitable[Reply]]

REST_KINDS = {400: "mend", 413: "mend", 415: "mend", 404: "missing"}
GRPC_KINDS = {grpc.StatusCode.INVALID_ARGUMENT: "mend", grpc.StatusCode.NOT_FOUND: "missing"}


class RoomyModel(FakeModel):
    """With the limits that a service has by default."""

    limits = Limits(max_bytes=MAX_BODY)


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine(Admission(1, 1), Metrics(), timeout_s=30)
    failures = {"broken": "its hash is wrong"}
    engine.use(FakeCatalog(RoomyModel(), RoomyModel("other", "2"), failures=failures, unloaded=("birch",)))
    yield engine
    engine.admission.close()


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(engine, max_body=MAX_BODY))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


@pytest.fixture
async def stub(engine: Engine) -> AsyncIterator[pb_grpc.SegmentationServiceStub]:
    server = RpcServer(engine, max_body=MAX_BODY)
    port = await server.start("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield pb_grpc.SegmentationServiceStub(channel)  # type: ignore[no-untyped-call]  # protoc's
    await server.stop(0)


@pytest.fixture
def ask_rest(client: httpx.AsyncClient) -> Ask:
    async def ask(image: bytes, **options: Any) -> Reply:
        headers = {"content-type": "application/octet-stream"}
        answer = await client.post("/v1/segment", content=image, headers=headers, params=options)
        if answer.status_code == 200:
            return Reply(json.loads(answer.content))
        return Reply(
            refusal=REST_KINDS.get(answer.status_code, answer.reason_phrase), text=answer.json()["detail"]
        )

    return ask


@pytest.fixture
def ask_grpc(stub: pb_grpc.SegmentationServiceStub) -> Ask:
    async def ask(image: bytes, **options: Any) -> Reply:
        asked = dict(options)
        if "masks" in asked:
            asked["masks"] = f"MASK_FORMAT_{asked['masks'].upper()}"
        try:
            answer = await stub.Segment(pb.SegmentRequest(image=image, options=pb.SegmentOptions(**asked)))
        except grpc.aio.AioRpcError as error:
            return Reply(refusal=GRPC_KINDS.get(error.code(), error.code().name), text=str(error.details()))
        return Reply(message_to_json(answer))

    return ask


def message_to_json(answer: pb.SegmentResponse) -> dict[str, Any]:
    """The message in the shape of the native JSON."""
    content = MessageToDict(
        answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    for instance in content["instances"]:
        instance["category_id"] = int(instance["category_id"])  # 64 bits are strings in proto's JSON
        if "area" in instance:
            instance["area"] = int(instance["area"])
        for form in ("rle", "rle_crop", "polygon"):
            if form in instance:
                instance["segmentation"] = instance.pop(form)
        if "rings" in instance.get("segmentation", {}):
            rings = instance["segmentation"]["rings"]
            instance["segmentation"] = {"rings": [ring["corners"] for ring in rings]}
    return content
