"""An endpoint without FastAPI's layers: for the one request that there are many of."""

from fastapi import FastAPI
from fastapi.routing import APIRoute, APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from service.errors import BlitzError
from service.rest.problem import answer_blitz_error, answer_http_error


class Direct:
    """The only endpoint of a router as an ASGI application; it takes a Request and gives a Response.

    Of what the server's own code does for a request, FastAPI's routing, dependencies and exit stacks were a
    third, for an endpoint that uses none of them.
    """

    def __init__(self, app: FastAPI, router: APIRouter) -> None:
        (route,) = (route for route in router.routes if isinstance(route, APIRoute))
        self._app = app
        self._route = route
        self._asked = {(method, route.path) for method in route.methods or ()}

    def answers(self, scope: Scope) -> bool:
        """Whether a request is for this endpoint."""
        return scope["type"] == "http" and (scope["method"], scope["path"]) in self._asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"], scope["route"] = self._app, self._route
        request = Request(scope, receive)
        try:
            response = await self._route.endpoint(request)
        except BlitzError as error:
            response = await answer_blitz_error(request, error)
        except HTTPException as error:
            response = await answer_http_error(request, error)
        await response(scope, receive, send)
