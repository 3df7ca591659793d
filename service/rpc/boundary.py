"""The frame around every call: its key, a request id, a log line, metrics, and a status for every error.

Several errors share a status, so an error's name goes beside it: in the trailing metadata `x-error` of a
call, and in `FrameError.type` of a frame. Over REST the same name ends the `type` of a problem.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from functools import partial
from math import ceil
from typing import Any, TypeAlias, TypeVar, cast

import grpc
from grpc.aio import AbortError, InternalError, ServerInterceptor, ServicerContext

from service import errors
from service.errors import BlitzError
from service.rpc import ERROR, RETRY_AFTER
from service.rpc.generated import segmentation_pb2 as pb
from service.security.callers import Caller, Callers
from service.serving.admission import delay_refusal
from service.telemetry.metrics import Metrics
from service.telemetry.request_log import RequestRecord, choose_request_id
from service.telemetry.tracing import PROPAGATING, TRACEPARENT, TRACESTATE, Tracer

STATUS: dict[type[errors.BlitzError], grpc.StatusCode] = {
    errors.InvalidImage: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ImageTooLarge: grpc.StatusCode.INVALID_ARGUMENT,
    errors.UnsupportedMedia: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InvalidOption: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ModelNotFound: grpc.StatusCode.NOT_FOUND,
    errors.ModelRefused: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Unauthorized: grpc.StatusCode.UNAUTHENTICATED,
    errors.Forbidden: grpc.StatusCode.PERMISSION_DENIED,
    errors.RateLimited: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.ComputeFailed: grpc.StatusCode.UNAVAILABLE,
    errors.OutOfMemory: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.NotReady: grpc.StatusCode.UNAVAILABLE,
    errors.InvalidCard: grpc.StatusCode.INTERNAL,
    errors.BackendUnavailable: grpc.StatusCode.INTERNAL,
    errors.InvalidSetting: grpc.StatusCode.INTERNAL,
    errors.SelfTestFailed: grpc.StatusCode.INTERNAL,
}
UNKNOWN_ERROR = "the service failed on this request; its log has the reason under this request's id"
LONGEST_TEXT = 1300  # bytes: gRPC writes one of them in up to three, and may refuse metadata of 8,192


def error_to_status(error: Exception) -> tuple[grpc.StatusCode, str]:
    """The status of an error and a text for the caller; the text of an unknown error is not shown."""
    if isinstance(error, errors.BlitzError):
        return STATUS[type(error)], _shorten(str(error))
    return grpc.StatusCode.INTERNAL, UNKNOWN_ERROR


def error_to_metadata(error: Exception) -> tuple[tuple[str, str], ...]:
    """The trailing metadata that tells a client which error a status stands for.

    >>> error_to_metadata(errors.RateLimited("too fast", retry_after_s=1.2))
    (('x-error', 'RateLimited'), ('retry-after', '2'))
    """
    if not isinstance(error, errors.BlitzError):
        return ()
    name = (ERROR, type(error).__name__)
    if isinstance(error, errors.RateLimited):
        return name, (RETRY_AFTER, str(ceil(error.retry_after_s)))
    return (name,)


def error_to_frame(error: Exception) -> pb.FrameError:
    """The error of one frame of a stream."""
    status, message = error_to_status(error)
    code: int = status.value[0]
    name = type(error).__name__ if isinstance(error, errors.BlitzError) else ""
    return pb.FrameError(code=code, message=message, type=name)


def _shorten(text: str) -> str:
    data = text.encode(errors="replace")
    return text if len(data) <= LONGEST_TEXT else data[:LONGEST_TEXT].decode(errors="ignore") + "..."


Context: TypeAlias = ServicerContext[Any, Any]
Handler: TypeAlias = Any  # grpc.RpcMethodHandler, which has no public constructor and may be None
Details: TypeAlias = grpc.HandlerCallDetails
Pairs: TypeAlias = tuple[tuple[str, str], ...]

T = TypeVar("T")

REQUEST_ID = "x-request-id"
OPEN = ("/grpc.health.v1.Health/", "/grpc.reflection.")
PROBES = {"/inference.GRPCInferenceService/ServerLive", "/inference.GRPCInferenceService/ServerReady"}
CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)  # of the call that a task answers


async def begin_answer(context: Context, *headers: tuple[str, str]) -> None:
    """Send a stream's headers by themselves.

    grpcio sends them with the first message otherwise. Where that message is cancelled while it is written,
    grpcio sends the headers once more with the status, the status never leaves, and the call hangs.
    """
    await context.send_initial_metadata(headers)


def read_metadata(context: Context) -> dict[str, str]:
    """The text metadata of a call, names in lower case."""
    return {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}


async def answer_call(
    metrics: Metrics,
    context: Context,
    method: str,
    work: Callable[[RequestRecord], Awaitable[T]],
    *,
    tracer: Tracer = PROPAGATING,
) -> T:
    """The result of `work`, which is given the record of this call; its error becomes the call's status.

    The record is written before the caller learns how the call ended.
    """
    metadata = read_metadata(context)
    record = RequestRecord("grpc", choose_request_id(metadata.get(REQUEST_ID)))
    record.about = {"method": method}
    record.span = tracer.begin(metadata.get(TRACEPARENT), metadata.get(TRACESTATE))
    if (caller := CALLER.get()) is not None:
        record.key = caller.name
    trailers = _identify(record)
    context.set_trailing_metadata(trailers)
    try:
        return await work(record)
    except InternalError as error:  # a message could not be written: the client has left
        record.outcome = "gone"
        raise asyncio.CancelledError from error
    except Exception as error:
        record.failed(error)
        failure = error.with_traceback(None)  # its frames hold the message, and one of them holds the error
    except asyncio.CancelledError:
        record.outcome = "gone"
        raise
    finally:
        record.write(metrics, method)
    try:
        await delay_refusal(failure)
        return await context.abort(*error_to_status(failure), trailers + error_to_metadata(failure))
    except (AbortError, InternalError) as error:  # an InternalError: gRPC itself has ended the call before
        error.__traceback__ = None  # gRPC keeps the error, which would keep the message
        raise asyncio.CancelledError from None


def _identify(record: RequestRecord) -> Pairs:
    """The trailing metadata of every answer."""
    request_id = (REQUEST_ID, record.request_id)
    if record.span is None:
        return (request_id,)
    return request_id, (TRACEPARENT, record.span.context.traceparent)


class Guard(ServerInterceptor):
    """Asks for a key before a message is read, except for health checks and reflection."""

    def __init__(self, callers: Callers, metrics: Metrics, names: Mapping[str, str]) -> None:
        """`names` has the name under which metrics count each method, by the method's path."""
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
                # This kind of handler fits every kind of call, because it reads no message.
                return grpc.stream_stream_rpc_method_handler(partial(self._refuse, method, error))
        return await continuation(details)

    async def _refuse(self, method: str, error: BlitzError, requests: object, context: Context) -> None:
        async def fail(record: RequestRecord) -> None:
            raise error

        await answer_call(self._metrics, context, self._names.get(method, "other"), fail)
