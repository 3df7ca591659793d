"""The application of REST: `POST /v1/segment` past FastAPI, all else by FastAPI.

FastAPI and the schemas of its endpoints take about as long to import as everything else. So the first picture
does not wait for them: they are imported when another path is asked for, or once nothing hurries.
"""

import asyncio
import sys

from starlette.datastructures import State
from starlette.types import ASGIApp, Receive, Scope, Send

from service.dialects.pictures import NO_DROP_IN, DropIn
from service.rest.bodies import BodyBudget
from service.rest.boundary import Boundary
from service.rest.guard import Cors, Guard
from service.rest.segment import ROUTE, answer_directly, asks_segment
from service.security.callers import ANYBODY, Rules
from service.security.fetching import Fetcher
from service.serving.engine import Engine

APPLICATION = "service.rest.application"
BODIES = 256_000_000  # bytes of all bodies together


def create_app(
    engine: Engine,
    *,
    max_body: int,
    max_bodies: int = BODIES,
    rules: Rules = ANYBODY,
    drop_in: DropIn = NO_DROP_IN,
) -> "App":
    """The application over `engine`.

    max_body, max_bodies: bytes of one request's body, and of all bodies at one time.
    rules: the callers that have to show a key, and the sites whose pages may call.
    drop_in: the other servers whose clients are answered too.
    """
    state = State()
    state.engine, state.rules, state.drop_in = engine, rules, drop_in
    state.bodies = BodyBudget(max_body, max_bodies)
    state.fetcher = Fetcher()  # fetches nothing
    return App(state)


class App:
    """An ASGI application, complete once it holds that of FastAPI: at once where that is imported already."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._segment = _add_layers(answer_directly, state)
        self._whole = self._build() if APPLICATION in sys.modules else None
        self._completing = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; all but `POST /v1/segment` wait until the application is complete."""
        if asks_segment(scope):
            scope["app"] = self
            await self._segment(scope, receive, send)
        else:
            whole = self._whole or await self.complete()
            await whole(scope, receive, send)

    async def complete(self) -> ASGIApp:
        """The application of all endpoints, imported in a thread the first time."""
        async with self._completing:
            if self._whole is None:
                self._whole = await asyncio.to_thread(self._build)
            return self._whole

    def _build(self) -> ASGIApp:
        """The application of all endpoints, while the caller waits."""
        from service.rest.application import build_application

        return build_application(self.state)


def _add_layers(app: ASGIApp, state: State) -> ASGIApp:
    """The application in the layers that FastAPI's has too, the outermost last."""
    rules = state.rules
    if rules.callers.required:
        app = Guard(app, rules, [ROUTE])
    if rules.origins:
        app = Cors(app, rules.origins)
    return Boundary(app, state.engine)
