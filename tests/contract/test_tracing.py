"""A caller's trace goes on through both transports and comes back with the answer."""

import io
import json

import httpx
import pytest

from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.generated import segmentation_pb2_grpc as pb_grpc
from tests.fakes import encode_picture

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def check(answered: str | None, lines: io.StringIO) -> None:
    """The answer and the log name the caller's trace, and one place in it that is new."""
    assert answered is not None
    version, trace, span, flags = answered.split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert span != SPAN
    (line,) = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert (line["trace_id"], line["span_id"]) == (TRACE, span)


@pytest.mark.parametrize("image", [encode_picture(), b"no image"])
async def test_over_rest(client: httpx.AsyncClient, lines: io.StringIO, image: bytes) -> None:
    headers = {"content-type": "image/png", "traceparent": PARENT}
    answer = await client.post("/v1/segment", content=image, headers=headers)
    check(answer.headers.get("traceparent"), lines)


@pytest.mark.parametrize("image", [encode_picture(), b"no image"])
async def test_over_grpc(stub: pb_grpc.SegmentationServiceStub, lines: io.StringIO, image: bytes) -> None:
    call = stub.Segment(pb.SegmentRequest(image=image), metadata=(("traceparent", PARENT),))
    await call.code()
    told = dict(await call.trailing_metadata())
    check(told.get("traceparent"), lines)
    assert "x-request-id" in told


async def test_who_brings_no_trace_gets_none(
    client: httpx.AsyncClient, stub: pb_grpc.SegmentationServiceStub
) -> None:
    answer = await client.post("/v1/segment", content=encode_picture(), headers={"content-type": "image/png"})
    assert "traceparent" not in answer.headers
    call = stub.Segment(pb.SegmentRequest(image=encode_picture()))
    await call
    assert "traceparent" not in dict(await call.trailing_metadata())
