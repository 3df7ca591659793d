"""Keys for gRPC: every call needs one but those of probes and of descriptions."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, cast

import grpc
from grpc.aio import ServerInterceptor

from service.errors import BlitzError
from service.rpc.boundary import CALLER, Context, answer_call
from service.security.callers import Callers
from service.telemetry.metrics import Metrics
from service.telemetry.request_log import Access

OPEN = ("/grpc.health.v1.Health/", "/grpc.reflection.")
PROBES = {"/inference.GRPCInferenceService/ServerLive", "/inference.GRPCInferenceService/ServerReady"}

Details = grpc.HandlerCallDetails
Handler = Any  # grpc.RpcMethodHandler, of which some interceptors give None


class Guard(ServerInterceptor):
    """Finds out who calls before a message is read."""

    def __init__(self, callers: Callers, metrics: Metrics, names: Mapping[str, str]) -> None:
        """`names`: what calls are counted as, by their paths."""
        self._callers = callers
        self._metrics = metrics
        self._names = names

    async def intercept_service(
        self, continuation: Callable[[Details], Awaitable[Handler]], details: Details
    ) -> Handler:
        method: str = details.method
        if method not in PROBES and not method.startswith(OPEN):
            try:
                caller = self._callers.admit(cast("dict[str, str]", dict(details.invocation_metadata or ())))
                CALLER.set(caller)
                caller.charge()
            except BlitzError as error:
                # Whatever kind of call it is: this handler reads no message.
                return grpc.stream_stream_rpc_method_handler(partial(self._refuse, method, error))
        return await continuation(details)

    async def _refuse(self, method: str, error: BlitzError, requests: object, context: Context) -> None:
        async def fail(access: Access) -> None:
            raise error

        await answer_call(self._metrics, context, self._names.get(method, "other"), fail)
