"""The outermost layer of REST: a request id, a log line, metrics, and a last resort for errors."""

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.rest.problem import KEY, answer_unknown_error
from service.serving.engine import Engine
from service.telemetry.request_log import Access, choose_request_id
from service.telemetry.tracing import TRACEPARENT, TRACESTATE

QUIET = {"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"}
PAGE = "/page/"  # the files of the page, of which each visit takes dozens

log = structlog.get_logger("service.rest")


class ClientGone(Exception):
    """The client hung up before its answer was there; nobody would read a response."""


class Boundary:
    """Wraps the application; adds X-Request-Id, the caller's trace if there is one, and `Connection: close`
    once the service is leaving.
    """

    def __init__(self, app: ASGIApp, engine: Engine) -> None:
        self.app = app
        self.engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers, path = Headers(scope=scope), scope["path"]
        quiet = path in QUIET or path.startswith(PAGE)
        access = Access("rest", choose_request_id(headers.get("x-request-id")))
        access.about = {"method": scope["method"], "path": path, "status": None}
        if not quiet:
            access.span = self.engine.tracer.begin(headers.get(TRACEPARENT), headers.get(TRACESTATE))
        scope[KEY] = access
        try:
            await self._answer(scope, receive, self._mark(send, access))
        finally:
            access.write(self.engine.metrics, _name_method(scope), quiet=quiet, probe=quiet)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        access: Access = scope[KEY]
        try:
            await self.app(scope, receive, send)
        except (ClientDisconnect, ClientGone):
            access.outcome = "gone"
        except Exception:
            log.exception("request failed", **access.ids)
            if access.about["status"] is None:
                await answer_unknown_error(Request(scope))(scope, receive, send)
        except BaseException:
            access.outcome = "cancelled"
            raise

    def _mark(self, send: Send, access: Access) -> Send:
        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                access.about["status"] = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = access.request_id
                if access.span is not None:
                    headers[TRACEPARENT] = access.span.context.traceparent
                if self.engine.leaving:
                    headers["connection"] = "close"
            await send(message)

        return send_marked


def _name_method(scope: Scope) -> str:
    """What the request is counted as: as few names as there are routes, whatever callers think of."""
    method, route = scope["method"], scope.get("route")
    return f"{method} {route.path}" if route and method in route.methods else "other"
