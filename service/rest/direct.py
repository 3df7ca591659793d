"""An endpoint without FastAPI's layers: for the one request that there are many of."""

from fastapi.routing import APIRoute, APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import BlitzError
from service.rest.problem import answer_blitz_error, answer_http_error


class Direct:
    """Answers for the only endpoint of a router, which takes a Request and gives a Response; wraps the rest.

    Of what the server's own code does for a request, FastAPI's routing, dependencies and exit stacks were a
    third, for an endpoint that uses none of them.
    """

    def __init__(self, app: ASGIApp, router: APIRouter) -> None:
        (route,) = (route for route in router.routes if isinstance(route, APIRoute))
        self.app = app
        self._route = route
        self._asked = {(method, route.path) for method in route.methods or ()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) not in self._asked:
            return await self.app(scope, receive, send)
        scope["route"] = self._route
        request = Request(scope, receive)
        try:
            response: Response = await self._route.endpoint(request)
        except BlitzError as error:
            response = await answer_blitz_error(request, error)
        except HTTPException as error:
            response = await answer_http_error(request, error)
        return await response(scope, receive, send)
