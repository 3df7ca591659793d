"""Around every call: a request id, a log line, metrics, and a status for every error."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeAlias, TypeVar

from grpc.aio import InternalError, ServicerContext

from service.rpc.convert import error_to_status
from service.security.callers import Caller
from service.telemetry.metrics import Metrics
from service.telemetry.request_log import Access, choose_request_id
from service.telemetry.tracing import PASSING, TRACEPARENT, TRACESTATE, Tracer

Context: TypeAlias = ServicerContext[Any, Any]

T = TypeVar("T")

REQUEST_ID = "x-request-id"
CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)  # of the call that is answered


async def begin_answer(context: Context, *headers: tuple[str, str]) -> None:
    """Send a stream's headers by themselves.

    grpcio sends them with the first message, and takes them for unsent where that is cancelled while it is
    written: then the status, sent with them once more, never leaves, and the call hangs.
    """
    await context.send_initial_metadata(headers)


def read_metadata(context: Context) -> dict[str, str]:
    """What a call says in its metadata, names in lower case, but for what is binary."""
    return {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}


async def answer_call(
    metrics: Metrics,
    context: Context,
    method: str,
    work: Callable[[Access], Awaitable[T]],
    *,
    tracer: Tracer = PASSING,
) -> T:
    """What `work` gives, called with the record of this call; its error becomes the call's status.

    What is written down about the call is there before the caller learns how it ended.
    """
    told = read_metadata(context)
    access = Access("grpc", choose_request_id(told.get(REQUEST_ID)))
    access.about = {"method": method}
    access.span = tracer.begin(told.get(TRACEPARENT), told.get(TRACESTATE))
    if (caller := CALLER.get()) is not None:
        access.key = caller.name
    context.set_trailing_metadata(_describe(access))
    try:
        return await work(access)
    except InternalError as error:  # a message could not be written: nobody is there to take it
        access.outcome = "gone"
        raise asyncio.CancelledError from error
    except Exception as error:
        access.failed(error)
        failure = error
    except asyncio.CancelledError:
        access.outcome = "gone"
        raise
    finally:
        access.write(metrics, method)
    return await context.abort(*error_to_status(failure))


def _describe(access: Access) -> tuple[tuple[str, str], ...]:
    """What comes back with every answer."""
    request_id = (REQUEST_ID, access.request_id)
    if access.span is None:
        return (request_id,)
    return (request_id, (TRACEPARENT, access.span.context.traceparent))
