"""Between protoc's registration and the server: bytes that are no message are the caller's fault, not ours.

gRPC itself answers them with UNKNOWN and writes a traceback into the log.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from service.errors import InvalidOption
from service.rpc.boundary import Context, answer_call
from service.telemetry.metrics import Metrics
from service.telemetry.request_log import Access

Handler: TypeAlias = Any  # grpc.RpcMethodHandler, which its types do not let one make
ADVICE = "the bytes are not the message that this method takes; is the client's .proto file this service's?"


class Garbled:
    """In the place of a message that could not be read."""


def check_read(message: object) -> object:
    """A message of a stream; raises InvalidOption where it could not be read."""
    if isinstance(message, Garbled):
        raise InvalidOption(ADVICE)
    return message


class Registry:
    """What protoc's `add_..._to_server` takes for a server."""

    def __init__(self, server: grpc.aio.Server, metrics: Metrics) -> None:
        self._server = server
        self._metrics = metrics

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Those of the next method, as they are: not added."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Add the methods of a service."""
        careful = {name: self._make_careful(name, handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, careful),))

    def _make_careful(self, name: str, handler: Handler) -> Handler:
        deserialize = handler.request_deserializer

        def read(data: bytes) -> object:
            try:
                return deserialize(data)
            except DecodeError:
                return Garbled()

        handler = handler._replace(request_deserializer=read)
        if handler.unary_unary is None:
            return handler
        return handler._replace(unary_unary=self._refuse_garbled(name, handler.unary_unary))

    def _refuse_garbled(self, name: str, work: Callable[[Any, Context], Any]) -> Callable[..., Any]:
        async def fail(access: Access) -> None:
            raise InvalidOption(ADVICE)

        async def answer(request: object, context: Context) -> Any:
            if isinstance(request, Garbled):
                return await answer_call(self._metrics, context, name, fail)
            return await work(request, context)

        return answer
