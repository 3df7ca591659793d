"""The outermost layer of REST: a request id, a log line, metrics, and the answer to unknown errors."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import BlitzError, InvalidOption, OutOfMemory, shorten
from service.rest.problem import KEY, NO_MEMORY, answer_blitz_error, answer_unknown_error
from service.serving.engine import Engine
from service.telemetry.request_log import RequestRecord, choose_request_id
from service.telemetry.tracing import TRACEPARENT, TRACESTATE

T = TypeVar("T")

QUIET = {"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"}
PAGE = "/page/"  # the files of the web page: a visit asks for dozens
MOST_PARAMETERS = 1000  # of a query: each label may be one

log = structlog.get_logger("service.rest")


class ClientGone(Exception):
    """The client hung up before its answer was there, so that a response has no reader."""


class Boundary:
    """Wraps the application: adds X-Request-Id, the caller's trace if there is one, and `Connection: close`
    once the service is leaving; answers HEAD as GET without the body.
    """

    def __init__(self, app: ASGIApp, engine: Engine) -> None:
        self.app = app
        self.engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers, path, method = Headers(scope=scope), scope["path"], scope["method"]
        quiet = path in QUIET or path.startswith(PAGE)
        record = RequestRecord("rest", choose_request_id(headers.get("x-request-id")))
        record.about = {"method": method, "path": shorten(path), "status": None}
        if not quiet:
            record.span = self.engine.tracer.begin(headers.get(TRACEPARENT), headers.get(TRACESTATE))
        if method == "HEAD":
            scope = {**scope, "method": "GET"}  # a copy: the server still sees HEAD, and sends no body
        scope[KEY] = record
        try:
            await self._answer(scope, receive, self._mark(send, record))
        finally:
            record.write(self.engine.metrics, _name_method(method, scope), quiet=quiet, probe=quiet)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        record: RequestRecord = scope[KEY]
        try:
            if scope["query_string"].count(b"&") >= MOST_PARAMETERS:
                await _refuse(
                    scope, send, InvalidOption(f"the query has more than {MOST_PARAMETERS} options")
                )
            else:
                await self.app(scope, receive, send)
        except (ClientDisconnect, ClientGone):
            record.outcome = "gone"
        except MemoryError:
            log.error("out of memory", **record.ids)
            if record.about["status"] is None:
                await _refuse(scope, send, OutOfMemory(NO_MEMORY))
        except Exception:
            log.exception("request failed", **record.ids)
            if record.about["status"] is None:
                await answer_unknown_error(Request(scope))(scope, receive, send)
        except BaseException:
            record.outcome = "cancelled"
            raise

    def _mark(self, send: Send, record: RequestRecord) -> Send:
        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.about["status"] = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = record.request_id
                if record.span is not None:
                    headers[TRACEPARENT] = record.span.context.traceparent
                if self.engine.leaving:
                    headers["connection"] = "close"
            await send(message)

        return send_marked


async def unless_gone(request: Request, work: Coroutine[None, None, T]) -> T:
    """The result of `work`, which is cancelled when the client hangs up; raises ClientGone then.

    The request's body must have been read. The work runs in the caller's task: a task of its own would
    wake the caller two rounds of the event loop later.
    """
    watch = _HangUpWatch(request)
    try:
        return await work
    except asyncio.CancelledError as error:
        if watch.has_cancelled():
            raise ClientGone from error
        raise
    finally:
        watch.end()


class _HangUpWatch:
    """Cancels the task that creates it when the client hangs up, until it is ended."""

    def __init__(self, request: Request) -> None:
        self._task = asyncio.current_task()
        self._cancelled = False
        self._watching = asyncio.ensure_future(self._wait(request))

    def has_cancelled(self) -> bool:
        """True if only this watch cancelled the task."""
        return self._cancelled and self._task is not None and self._task.uncancel() == 0

    def end(self) -> None:
        """Watch no more, and let go of the tasks: a cancelled one holds frames that hold this watch."""
        self._watching.cancel()
        self._task = None
        del self._watching

    async def _wait(self, request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        if self._task is not None:
            self._cancelled = self._task.cancel()


async def _refuse(scope: Scope, send: Send, error: BlitzError) -> None:
    request = Request(scope)
    response = await answer_blitz_error(request, error)
    await response(scope, request.receive, send)


def _name_method(method: str, scope: Scope) -> str:
    """The name by which metrics count the request: one for each route, however many paths callers invent."""
    route = scope.get("route")
    return f"{method} {route.path}" if route and scope["method"] in route.methods else "other"
