"""Messages that cannot be read, are too much work or never come, over unary calls and streams."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc
import pytest

from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.registry import MESSAGE_MARGIN, MOST_FIELDS, MOST_NUMBERS
from service.rpc.server import RpcServer
from service.serving.engine import Engine
from tests.fakes import encode_picture

Raw: TypeAlias = Any  # grpc.aio.Channel, whose types do not know calls of bytes

GARBAGE = b"\xff\xff\xff\xff"
OURS = "/blitzmask.v1.SegmentationService/"
THEIRS = "/inference.GRPCInferenceService/"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


async def send(*messages: bytes) -> AsyncIterator[bytes]:
    """The messages, and then nothing: grpcio says INTERNAL when it is refused while it sends."""
    for message in messages:
        yield message
    await asyncio.Event().wait()


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
@pytest.mark.parametrize("method", [f"{OURS}SegmentStream", f"{THEIRS}ModelStreamInfer", REFLECTION])
async def test_a_message_of_a_stream(channel: Raw, method: str, before: int) -> None:
    call = channel.stream_stream(method)(send(*[b""] * before, GARBAGE))
    with pytest.raises(grpc.aio.AioRpcError, match="not the message"):
        async for _ in call:
            pass
    assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_what_is_written_at_that_moment_does_not_hold_up_the_refusal(channel: Raw) -> None:
    """grpcio loses the status where the first message is cancelled while it is written."""
    frame = pb.Frame(image=encode_picture()).SerializeToString()

    for _ in range(60):
        call = channel.stream_stream(f"{OURS}SegmentStream")(send(frame, GARBAGE))
        with pytest.raises(grpc.aio.AioRpcError, match="not the message"):
            async for _ in call:
                pass


def nest(number: int, content: bytes) -> bytes:
    """A field that holds a message."""
    length, digits = len(content), b""
    while length > 127:
        digits, length = digits + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + digits + bytes([length]) + content


UNKNOWN = b"\xf8\x01\x01"  # field 31
EMPTY_IMAGE = b"\x0a\x00"


class TestMessagesThatAreTooMuchWork:
    @pytest.fixture
    async def server(self, engine: Engine) -> RpcServer:
        return RpcServer(engine, max_body=8_000_000)

    @pytest.mark.parametrize(
        ("method", "message"),
        [
            (f"{OURS}Segment", UNKNOWN * 1_000_000),
            (f"{OURS}Segment", EMPTY_IMAGE * 1_000_000),
            (f"{OURS}Segment", nest(2, UNKNOWN * 900_000)),
            (f"{OURS}ListModels", UNKNOWN * 1_000_000),
            (f"{THEIRS}ModelInfer", b"\x2a\x00" * 1_000_000),
            (f"{THEIRS}ModelInfer", nest(5, nest(3, bytes(1_000_000)))),  # a shape
            (f"{THEIRS}ModelInfer", nest(5, nest(5, b"\x42\x00" * 1_000_000))),  # elements
            (f"{THEIRS}ModelInfer", nest(5, nest(5, nest(4, bytes(7_000_000))))),  # numbers
            (f"{THEIRS}ModelInfer", nest(1, b"m" * 1_000_000)),
            ("/grpc.health.v1.Health/Check", UNKNOWN * 1_000_000),
        ],
        ids=[
            "unknown",
            "images",
            "options",
            "models",
            "inputs",
            "shape",
            "elements",
            "numbers",
            "name",
            "health",
        ],
    )
    async def test_a_call_is_refused_before_they_are_parsed(
        self, channel: Raw, method: str, message: bytes
    ) -> None:
        call = channel.unary_unary(method)(message)
        assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT
        limits = (
            f"more than {MOST_FIELDS} fields",
            f"more than {MESSAGE_MARGIN} bytes beside",
            f"more than {MOST_NUMBERS} bytes of numbers",
        )
        details = await call.details()
        assert any(limit in details for limit in limits)

    @pytest.mark.parametrize("message", [UNKNOWN * 900_000, nest(5, UNKNOWN * 900_000)], ids=["all", "raw"])
    async def test_so_is_a_stream(self, channel: Raw, message: bytes) -> None:
        call = channel.stream_stream(f"{OURS}SegmentStream")(send(message))
        with pytest.raises(grpc.aio.AioRpcError, match="more than"):
            await call.read()

    async def test_large_images_and_tensors_are_read(self, channel: Raw) -> None:
        for message in (nest(1, bytes(2_900_000)), nest(1, b"x") * 2 + nest(1, bytes(2_900_000))):
            call = channel.unary_unary(f"{OURS}Segment")(message)
            assert "image" in await call.details()
        elements = nest(5, nest(5, nest(8, bytes(1_000_000)) + nest(8, bytes(1_000_000))))
        call = channel.unary_unary(f"{THEIRS}ModelInfer")(elements)
        assert "are not what toy takes" in await call.details()


class TestCallsWithoutAMessage:
    @pytest.fixture
    async def server(self, engine: Engine) -> RpcServer:
        engine.timeout_s = 0.2
        return RpcServer(engine, max_body=100_000)

    @pytest.mark.parametrize(
        "method", [f"{OURS}Segment", f"{THEIRS}ModelInfer", "/grpc.health.v1.Health/Watch", REFLECTION]
    )
    async def test_they_are_not_waited_for_for_ever(self, channel: Raw, method: str) -> None:
        call = channel.stream_stream(method)(send())
        with pytest.raises(grpc.aio.AioRpcError, match=r"did not arrive within 0\.2 seconds"):
            await call.read()
        assert await call.code() == grpc.StatusCode.DEADLINE_EXCEEDED

    async def test_one_that_ends_without_a_message_is_refused(self, channel: Raw) -> None:
        call = channel.stream_unary(f"{OURS}Segment")(iter(()))
        assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "without a message" in await call.details()


@pytest.mark.parametrize("name", ["m" * 20_000, "\N{SNOWMAN}" * 20_000], ids=["ascii", "snowmen"])
async def test_a_model_name_that_would_break_the_status_is_cut(channel: Raw, name: str) -> None:
    for method, message in (
        ("Segment", pb.SegmentRequest(image=b"x", options=pb.SegmentOptions(model=name))),
        ("SegmentStream", pb.Frame(options=pb.StreamOptions(segment=pb.SegmentOptions(model=name)))),
    ):
        call = channel.stream_stream(OURS + method)(send(message.SerializeToString()))
        with pytest.raises(grpc.aio.AioRpcError, match="there is no model"):
            await call.read()
        assert await call.code() == grpc.StatusCode.NOT_FOUND
        assert len((await call.details()).encode()) < 2000
        assert dict(await call.trailing_metadata())["x-error"] == "ModelNotFound"


async def test_an_unknown_method_is_unknown(channel: Raw) -> None:
    call = channel.unary_unary(f"{OURS}Nothing")(b"")
    assert await call.code() == grpc.StatusCode.UNIMPLEMENTED
