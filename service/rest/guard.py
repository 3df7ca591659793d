"""Access to REST: the keys that a request needs, and the sites whose pages may call."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from service.errors import BlitzError, Forbidden, shorten
from service.rest.problem import KEY, answer_blitz_error
from service.security.callers import Caller, Rules, read_key, read_subprotocol_key
from service.telemetry.request_log import RequestRecord

OPEN = {"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/", "/docs", "/openapi.json"}
PAGE = "/page/"
METRICS = "/metrics"
PORTS = {"http": 80, "https": 443}
SHARED = ("/v1/", "/v2/", "/v2")  # the paths that pages of other sites may call
EXPOSED = (
    "x-request-id",
    "traceparent",
    "server-timing",
    "retry-after",
    "x-model",
    "x-model-version",
    "x-backend",
    "inference-header-content-length",
)


class Guard:
    """Wraps an application that asks for keys; requests that need no key pass unchecked."""

    def __init__(self, app: ASGIApp, rules: Rules, routes: Sequence[BaseRoute]) -> None:
        """`routes`: a refused request is counted by its route, as an answered one is."""
        self.app = app
        self._rules = rules
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if needs_key(scope["path"], self._rules):
            try:
                caller = self._rules.callers.admit(Headers(scope=scope))
                scope[KEY].key = caller.name
                caller.charge()
            except BlitzError as error:
                scope["route"] = find_route(self._routes, scope)
                refuse = await answer_blitz_error(Request(scope), error)
                return await refuse(scope, receive, send)
        return await self.app(scope, receive, send)


class Cors:
    """Lets pages of other sites call the API: Starlette's CORS, for the API's paths and allowed sites only.

    Other requests pass unchanged: a site that is not allowed finds no CORS headers, and its browser refuses.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self.app = app
        self._origins = {_normalize(origin) for origin in origins}
        self._shared = CORSMiddleware(
            app,
            allow_origins=sorted(self._origins),
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(SHARED):
            origin = Headers(scope=scope).get("origin")
            if origin is not None and not self._origins.isdisjoint(("*", origin)):
                return await self._shared(scope, receive, send)
        return await self.app(scope, receive, send)


def find_route(routes: Sequence[BaseRoute], scope: Scope) -> BaseRoute | None:
    """The route that would answer a request, None where none would."""
    return next((route for route in routes if route.matches(scope)[0] is Match.FULL), None)


def needs_key(path: str, rules: Rules) -> bool:
    """Whether a path answers only callers with a key; every path does that is not listed here.

    >>> needs_key("/v1/segment", Rules())
    False
    """
    if not rules.callers.required or path in OPEN or path.startswith(PAGE):
        return False
    return path != METRICS or not rules.open_metrics


def admit_live(websocket: WebSocket, rules: Rules) -> Caller | None:
    """The caller of a live stream, None where no keys are set.

    A page cannot choose the headers of its WebSocket: it sends its key as a subprotocol. Raises Forbidden,
    Unauthorized, RateLimited.
    """
    headers = websocket.headers
    check_origin(headers.get("origin"), headers.get("host", ""), rules.origins)
    if not rules.callers.required:
        return None
    caller = rules.callers.identify(
        read_key(headers) or read_subprotocol_key(websocket.scope["subprotocols"])
    )
    caller.charge()
    return caller


async def refuse_live(websocket: WebSocket, record: RequestRecord, error: BlitzError) -> None:
    """Answer the handshake as a request that fails."""
    websocket.scope[KEY] = record
    response = await answer_blitz_error(websocket, error)
    response.headers["x-request-id"] = record.request_id
    await websocket.receive()
    await websocket.send_denial_response(response)


def check_origin(origin: str | None, host: str, allowed: tuple[str, ...]) -> None:
    """Raises Forbidden for a page of another site than `host`, unless it is allowed; programs send no origin.

    >>> check_origin("https://cam.example", "cam.example:443", ())
    >>> check_origin("http://evil.example", "localhost:8000", ())
    Traceback (most recent call last):
    service.errors.Forbidden: pages of http://evil.example may not open streams here; see BLITZ_ORIGINS
    """
    if origin is None or "*" in allowed or _normalize(origin) in map(_normalize, allowed):
        return
    asked = _read_site(origin)
    if asked is None or asked != _read_site(f"{origin.partition(':')[0]}://{host}"):
        raise Forbidden(f"pages of {shorten(origin, 80)} may not open streams here; see BLITZ_ORIGINS")


def _normalize(origin: str) -> str:
    return origin.lower().rstrip("/")


def _read_site(origin: str) -> tuple[str, int | None] | None:
    """Host and port of an origin; None where it has none."""
    try:
        parts = urlsplit(origin)
        return (parts.hostname, parts.port or PORTS.get(parts.scheme)) if parts.hostname else None
    except ValueError:
        return None
