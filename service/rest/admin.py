"""Loading and unloading models while others answer, for who has an admin key."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response

from service.rest.asked import ModelName, ModelQuery, NoQuery
from service.rest.description import problems
from service.rest.held import EngineHeld
from service.rest.models import models_to_json
from service.rest.problem import access_of
from service.rest.schemas import ModelsAnswer
from service.serving import changes
from service.serving.changes import admit_admin


async def admit(request: Request) -> None:
    """For who has an admin's key."""
    admit_admin(request.app.state.rules.callers, request.headers, access_of(request))


router = APIRouter(tags=["models"], dependencies=[Depends(admit)])

NEEDS_KEY = """

Needs an admin key, as `X-API-Key` or `Authorization: Bearer`; the operator sets its hash: `BLITZ_ADMIN_KEYS`.
With several workers it is refused, because it would reach only one of them: let them watch the folder, with
`BLITZ_WATCH_S`."""
LOAD = (
    """Opens the folders of a model, all its versions, and tests them; only then do they answer, and what
answered before goes. Where one fails, what answered before goes on; the problem and `/v1/models` say why."""
    + NEEDS_KEY
)
UNLOAD = (
    """A model, or one version of it, answers no more until it is loaded again or its folder changes; what it
is at work on is finished. The default model stays."""
    + NEEDS_KEY
)


@router.post(
    "/v1/models/{name}/load",
    summary="Load a model, or load it anew",
    operation_id="load_model",
    description=LOAD,
    response_class=Response,
    responses={200: {"model": ModelsAnswer}, **problems(400, 401, 403, 404, 409, 429, 503)},
)
async def load_model(name: ModelName, engine: EngineHeld, query: Annotated[NoQuery, Query()]) -> Response:
    after = await changes.load_model(engine, name)
    return Response(orjson.dumps(models_to_json(after)), media_type="application/json")


@router.post(
    "/v1/models/{name}/unload",
    summary="Unload a model",
    operation_id="unload_model",
    description=UNLOAD,
    response_class=Response,
    responses={200: {"model": ModelsAnswer}, **problems(400, 401, 403, 404, 409, 429, 503)},
)
async def unload_model(
    name: ModelName, engine: EngineHeld, query: Annotated[ModelQuery, Query()]
) -> Response:
    after = await changes.unload_model(engine, name, query.version or None)
    return Response(orjson.dumps(models_to_json(after)), media_type="application/json")
