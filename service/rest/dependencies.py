"""The parameters that endpoints take from the application: engine, model, and the rights of the caller."""

from typing import Annotated, cast

from fastapi import Depends, Path
from starlette.requests import Request

from service.oip.models import View, find_view
from service.rest.problem import record_of
from service.security.callers import Rules
from service.serving.changes import admit_admin
from service.serving.engine import Engine

ModelName = Annotated[str, Path(description="The model's name, as in `/v1/models`.")]


async def _engine(request: Request) -> Engine:
    return cast("Engine", request.app.state.engine)


EngineHeld = Annotated[Engine, Depends(_engine)]


async def _known(request: Request) -> bool:
    rules: Rules = request.app.state.rules
    return rules.callers.knows(request.headers)


CallerKnown = Annotated[bool, Depends(_known)]  # True where no keys are set


async def _admit(request: Request) -> None:
    """Raises Unauthorized, Forbidden or RateLimited for a caller without an admin key."""
    admit_admin(request.app.state.rules.callers, request.headers, record_of(request))


AdminOnly = Depends(_admit)
ViewName = Annotated[str, Path(description="A model's name, or that and `.tensors`.")]


async def _view(request: Request, engine: EngineHeld, name: ViewName) -> View:
    return find_view(engine.catalog, name, request.path_params.get("version"))


ViewHeld = Annotated[View, Depends(_view)]
