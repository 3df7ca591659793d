"""The way from a message's bytes, which are checked first, to a method, and from its result to bytes.

gRPC itself answers bytes that are no message with UNKNOWN and a traceback in the log, waits for ever for a
message that does not come, and reads as many fields as anybody sends. A message of 20 MB can hold six million
fields, for which protobuf takes gigabytes, and blocks the event loop for seconds. So a message may have only
so many fields, and so many bytes beside its images and tensors.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from inspect import isasyncgenfunction
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message

from service.errors import BlitzError, DeadlineExceeded, InvalidOption
from service.rpc.boundary import Context, Handler, answer_call, error_to_metadata, error_to_status
from service.telemetry.metrics import Metrics
from service.telemetry.request_log import RequestRecord

Layout: TypeAlias = Mapping[int, "Layout | None"]
"""The fields that may be large, by their numbers: {} for bytes, a layout for a message, None for numbers."""

MESSAGE_MARGIN = 65_536  # bytes of a message beside its images and tensors
MOST_FIELDS = 4_096
MOST_NUMBERS = 6_000_000  # bytes of numbers that are not sent as raw bytes: 20 MB take 0.2 seconds to parse
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FIXED = {FIXED64: 8, FIXED32: 4}
TENSOR: Layout = {**dict.fromkeys(range(1, 8)), 8: {}}  # numbers of seven types, and bytes_contents
LARGE: Mapping[str, Layout] = {
    "blitzmask.v1.SegmentRequest": {1: {}},  # image
    "blitzmask.v1.Frame": {3: {}, 5: {3: {}}},  # image, raw.data
    "inference.ModelInferRequest": {5: {5: TENSOR}, 7: {}},  # inputs.contents, raw_input_contents
}


class Truncated(ValueError):
    """The bytes are no message: they end within a field, or use a wire type that proto3 does not have."""


def check_wire(data: bytes, layout: Layout) -> None:
    """Raises InvalidOption when the bytes are too much work, Truncated when they are no message.

    >>> check_wire(bytes([0x0A, 2]) + b"ab", {1: {}})
    >>> check_wire(bytes([0x10, 1]) * 5000, {1: {}})
    Traceback (most recent call last):
        ...
    service.errors.InvalidOption: the message has more than 4096 fields
    """
    _Scan(data).visit(0, len(data), layout)


class _Scan:
    """Counts the fields of a message, and the bytes of those that are meant to be small."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._fields = 0
        self._small = 0
        self._numbers = 0

    def visit(self, start: int, end: int, layout: Layout) -> None:
        at = start
        while at < end:
            key, value = self._read_varint(at, end)
            number, kind = key >> 3, key & 7
            after = self._skip(value, end, kind)
            if kind != BYTES or number not in layout:
                self._count(small=after - at)
            elif (inner := layout[number]) is None:
                self._count(numbers=after - at)
            else:
                self._count()
                self.visit(self._read_varint(value, end)[1] if inner else after, after, inner)
            at = after

    def _count(self, *, small: int = 0, numbers: int = 0) -> None:
        self._fields += 1
        self._small += small
        self._numbers += numbers
        if self._fields > MOST_FIELDS:
            raise InvalidOption(f"the message has more than {MOST_FIELDS} fields")
        if self._small > MESSAGE_MARGIN:
            raise InvalidOption(
                f"the message has more than {MESSAGE_MARGIN} bytes beside its images and tensors"
            )
        if self._numbers > MOST_NUMBERS:
            raise InvalidOption(
                f"the message has more than {MOST_NUMBERS} bytes of numbers; send them as raw_input_contents"
            )

    def _skip(self, at: int, end: int, kind: int) -> int:
        """The place after a value."""
        if kind == VARINT:
            after = self._read_varint(at, end)[1]
        elif kind == BYTES:
            length, begin = self._read_varint(at, end)
            after = begin + length
        elif kind in FIXED:
            after = at + FIXED[kind]
        else:
            raise Truncated
        if after > end:
            raise Truncated
        return after

    def _read_varint(self, at: int, end: int) -> tuple[int, int]:
        """The number at a place, and the place after it."""
        number = 0
        for place in range(10):
            if at + place >= end:
                break
            byte = self._data[at + place]
            number |= (byte & 127) << 7 * place
            if byte < 128:
                return number, at + place + 1
        raise Truncated


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

        async def fail(record: RequestRecord) -> None:
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
