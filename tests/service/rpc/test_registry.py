"""Bytes that are no message are refused in words, over unary calls and streams."""

from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc
import pytest

from service.rpc.generated import segmentation_pb2 as pb
from tests.fakes import encode_picture

Raw: TypeAlias = Any  # grpc.aio.Channel, whose types do not know calls of bytes

GARBAGE = b"\xff\xff\xff\xff"
OURS = "/blitzmask.v1.SegmentationService/"
THEIRS = "/inference.GRPCInferenceService/"


@pytest.mark.parametrize(
    "method",
    [
        f"{OURS}Segment",
        f"{OURS}ListModels",
        f"{THEIRS}ModelInfer",
        f"{THEIRS}ModelConfig",
        "/grpc.health.v1.Health/Check",
    ],
)
async def test_a_call(channel: Raw, method: str) -> None:
    call = channel.unary_unary(method)(GARBAGE)
    assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "not the message" in await call.details()
    assert "x-request-id" in dict(await call.trailing_metadata())


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("method", [f"{OURS}SegmentStream", f"{THEIRS}ModelStreamInfer"])
async def test_a_message_of_a_stream(channel: Raw, method: str, before: int) -> None:
    async def send() -> AsyncIterator[bytes]:
        for _ in range(before):
            yield b""
        yield GARBAGE

    call = channel.stream_stream(method)(send())
    with pytest.raises(grpc.aio.AioRpcError, match="not the message"):
        async for _ in call:
            pass
    assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.timeout(20)
async def test_what_is_written_at_that_moment_does_not_hold_up_the_refusal(channel: Raw) -> None:
    """grpcio loses the status where the first message is cancelled while it is written."""
    frame = pb.Frame(image=encode_picture()).SerializeToString()

    async def send() -> AsyncIterator[bytes]:
        yield frame
        yield GARBAGE

    for _ in range(60):
        call = channel.stream_stream(f"{OURS}SegmentStream")(send())
        with pytest.raises(grpc.aio.AioRpcError, match="not the message"):
            async for _ in call:
                pass


async def test_an_unknown_method_is_unknown(channel: Raw) -> None:
    call = channel.unary_unary(f"{OURS}Nothing")(b"")
    assert await call.code() == grpc.StatusCode.UNIMPLEMENTED
