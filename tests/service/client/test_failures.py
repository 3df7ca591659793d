"""Failures that only gRPC has, by the status that its client gives them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from service import errors
from service.client import AsyncRpcClient, Frame
from service.client.failures import call_to_error
from tests.fakes import encode_picture
from tests.running import PATIENCE_S

PREFACE = 24  # bytes, with which an HTTP/2 client begins
HEADERS, RST_STREAM, SETTINGS = 1, 3, 4
INTERNAL_ERROR, REFUSED_STREAM, CANCEL = 2, 7, 8


def ended(code: grpc.StatusCode, details: str, **trailers: str) -> AioRpcError:
    metadata = Metadata(*((name.replace("_", "-"), value) for name, value in trailers.items()))
    return AioRpcError(code, Metadata(), metadata, details=details)


@pytest.mark.parametrize(
    ("code", "details"),
    [
        (grpc.StatusCode.INTERNAL, "Internal error from Core"),  # a message met a call that had just ended
        (grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2"),
        (grpc.StatusCode.UNKNOWN, "Stream removed"),
        (grpc.StatusCode.CANCELLED, "RPC cancelled"),
        (grpc.StatusCode.UNAVAILABLE, "Socket closed"),
        (
            grpc.StatusCode.UNAVAILABLE,
            "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
        ),
    ],
)
def test_a_connection_that_breaks_is_worth_another_try(code: grpc.StatusCode, details: str) -> None:
    error = call_to_error(ended(code, details), "host:8001")
    assert type(error) is errors.Unavailable
    assert str(error).startswith("the server at host:8001 is not available: ")


def test_a_fault_of_the_server_is_no_outage() -> None:
    error = call_to_error(ended(grpc.StatusCode.INTERNAL, "it failed", x_request_id="7"), "host:8001")
    assert type(error) is errors.BlitzError
    error = call_to_error(ended(grpc.StatusCode.INTERNAL, "Exception deserializing response!"), "host:8001")
    assert type(error) is errors.BlitzError
    assert "is not a BlitzMask server" in str(error)


def test_a_status_without_a_name_is_read_by_its_code() -> None:
    """Servers before version 0.2 send no names."""
    error = call_to_error(ended(grpc.StatusCode.NOT_FOUND, "no model x", x_request_id="7"), "host:8001")
    assert type(error) is errors.ModelNotFound


def test_the_time_after_which_a_key_may_be_used_again_comes_with_its_error() -> None:
    trailers = {"x_request_id": "7", "x_error": "RateLimited", "retry_after": "4"}
    error = call_to_error(ended(grpc.StatusCode.RESOURCE_EXHAUSTED, "too often", **trailers), "host:8001")
    assert isinstance(error, errors.RateLimited)
    assert error.retry_after_s == 4


def test_a_message_that_is_too_large_is_not_an_overload() -> None:
    details = "SERVER: Received message larger than max (200 vs. 100)"
    error = call_to_error(ended(grpc.StatusCode.RESOURCE_EXHAUSTED, details), "host:8001")
    assert type(error) is errors.ImageTooLarge


def test_a_server_of_something_else_is_told() -> None:
    error = call_to_error(ended(grpc.StatusCode.UNIMPLEMENTED, "Method not found!"), "host:8001")
    assert type(error) is errors.BlitzError
    assert str(error) == "host:8001 is not a BlitzMask server: Method not found!"


@asynccontextmanager
async def resetting(code: int) -> AsyncIterator[str]:
    """A server of HTTP/2 that resets every call, as a proxy does when the server behind it is killed."""

    handlers: set[Any] = set()

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        await reader.readexactly(PREFACE)
        writer.write(bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]))
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readexactly(9)
                await reader.readexactly(int.from_bytes(head[:3], "big"))
                if head[3] == SETTINGS and not head[4]:
                    writer.write(bytes([0, 0, 0, SETTINGS, 1, 0, 0, 0, 0]))
                if head[3] == HEADERS:
                    writer.write(bytes([0, 0, 4, RST_STREAM, 0]) + head[5:] + code.to_bytes(4, "big"))
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(reset, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*handlers)  # the client has left, so each of them ends


@pytest.mark.parametrize("code", [INTERNAL_ERROR, REFUSED_STREAM, CANCEL])
async def test_a_server_killed_behind_a_proxy_is_unavailable(code: int) -> None:
    async def frames() -> AsyncIterator[Frame]:
        yield Frame(1, None, encode_picture())

    async with resetting(code) as address, AsyncRpcClient(address, timeout=PATIENCE_S) as client:
        with pytest.raises(errors.Unavailable, match="is not available"):
            await client.segment(encode_picture())
        with pytest.raises(errors.Unavailable, match="is not available"):
            await anext(client.stream(frames()))
