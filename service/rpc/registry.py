"""The way from a message's bytes to a method, and from its result to bytes.

gRPC itself answers bytes that are no message with UNKNOWN and a traceback in the log, waits for ever for a
message that does not come, and reads as many fields as anybody sends.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from inspect import isasyncgenfunction
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from service.errors import BlitzError, DeadlineExceeded, InvalidOption
from service.rpc.boundary import Context, Handler, answer_call, error_to_metadata, error_to_status
from service.rpc.wire import LARGE, Layout, Truncated, check_wire
from service.telemetry.metrics import Metrics
from service.telemetry.request_log import Access

ADVICE = "the bytes are not the message that this method takes; is the client's .proto file this service's?"
NO_MESSAGE = "the call ended without a message"


def check_read(message: object) -> object:
    """A message of a stream; raises the error that stands in its place."""
    if isinstance(message, BlitzError):
        raise message
    return message


class Registry:
    """Stands in for the server in protoc's `add_..._to_server`, and adds handlers that check their bytes."""

    def __init__(self, server: grpc.aio.Server, metrics: Metrics, *, patience_s: float) -> None:
        """`patience_s`: how many seconds a call may take to send its message."""
        self._server = server
        self._metrics = metrics
        self._patience_s = patience_s

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Ignored: protoc passes the same handlers to `add_registered_method_handlers`."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Add the methods of a service."""
        careful = {name: self._make_careful(name, handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, careful),))

    def _make_careful(self, name: str, handler: Handler) -> Handler:
        message: type[Message] = handler.request_deserializer.__self__
        layout = LARGE.get(message.DESCRIPTOR.full_name, {})
        handler = handler._replace(
            request_deserializer=partial(_read, handler.request_deserializer, layout),
            response_serializer=_write,
        )
        if isasyncgenfunction(handler.stream_stream):
            return handler._replace(stream_stream=partial(self._answer_each, handler.stream_stream))
        if handler.request_streaming:  # these handlers read with patience themselves
            return handler
        # On the wire, a call with one message is a stream of one. As a stream, its wait can have an end.
        work = partial(self._answer, name, handler.unary_unary or handler.unary_stream)
        kind = "stream_stream" if handler.response_streaming else "stream_unary"
        return handler._replace(request_streaming=True, unary_unary=None, unary_stream=None, **{kind: work})

    async def _answer(
        self, name: str, work: Callable[[Any, Context], Awaitable[Any]], requests: object, context: Context
    ) -> Any:
        message = await self._receive(context)
        if message is grpc.aio.EOF:
            message = InvalidOption(NO_MESSAGE)
        if not isinstance(message, BlitzError):
            return await work(message, context)

        async def fail(access: Access) -> None:
            raise message

        return await answer_call(self._metrics, context, name, fail)

    async def _answer_each(
        self, work: Callable[[Any, Context], AsyncIterator[Message]], requests: object, context: Context
    ) -> AsyncIterator[Message]:
        """The answers of a handler that iterates over its messages, as reflection does."""

        async def receive_all() -> AsyncIterator[object]:
            while (message := await self._receive(context)) is not grpc.aio.EOF:
                if isinstance(message, BlitzError):
                    await context.abort(*error_to_status(message), error_to_metadata(message))
                yield message

        async for answer in work(receive_all(), context):
            yield answer

    async def _receive(self, context: Context) -> object:
        """The next message of a call, EOF, or the error that stands in its place."""
        try:
            async with asyncio.timeout(self._patience_s):
                message = await context.read()
        except TimeoutError:
            return DeadlineExceeded(f"the message did not arrive within {self._patience_s:g} seconds")
        return message


def _read(parse: Callable[[bytes], Message], layout: Layout, data: bytes) -> object:
    """The message, or the error that stands in its place."""
    try:
        check_wire(data, layout)
        return parse(data)
    except (DecodeError, Truncated):
        return InvalidOption(ADVICE)
    except InvalidOption as error:
        return error


def _write(answer: Message | bytes) -> bytes:
    """The bytes of an answer, which may have been made where it was computed."""
    return answer if isinstance(answer, bytes) else answer.SerializeToString()
