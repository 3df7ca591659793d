"""`/v2/repository`: which models there are; loading and unloading them, for who has an admin key."""

import orjson
from fastapi import APIRouter, Depends, Request, Response

from service.oip import repository
from service.oip.metadata import index_models
from service.rest.admin import NEEDS_KEY, admit
from service.rest.body import Body
from service.rest.description import describe_body, problems
from service.rest.held import EngineHeld
from service.rest.oip import ViewName
from service.rest.oip_body import parse_json
from service.rest.oip_schemas import IndexEntry, IndexRequest, RepositoryRequest

router = APIRouter(tags=["open inference protocol"])

CHANGES = problems(400, 401, 403, 404, 409, 413, 415, 429, 503, 504)


@router.post(
    "/v2/repository/index",
    summary="List the repository",
    operation_id="oip_index",
    response_class=Response,
    responses={200: {"model": list[IndexEntry]}, **problems(400, 413, 415, 503, 504)},
    openapi_extra={"requestBody": describe_body(IndexRequest, {"ready": True}, required=False)},
)
async def index(request: Request, engine: EngineHeld) -> Response:
    """Every model under both its names, and the folders whose models do not answer, with the reasons."""
    asked = parse_json(IndexRequest, await _read(request, engine))
    return Response(
        orjson.dumps(index_models(engine.catalog, ready_only=asked.ready)), media_type="application/json"
    )


@router.post(
    "/v2/repository/models/{name}/load",
    summary="Load a model, or load it anew",
    operation_id="oip_load",
    description="As `/v1/models/{name}/load`, for clients of the protocol; the answer is empty." + NEEDS_KEY,
    response_class=Response,
    responses={200: {"description": "The model answers."}, **CHANGES},
    openapi_extra={"requestBody": describe_body(RepositoryRequest, {}, required=False)},
    dependencies=[Depends(admit)],
)
async def load_model(request: Request, engine: EngineHeld, name: ViewName) -> Response:
    asked = parse_json(RepositoryRequest, await _read(request, engine))
    await repository.load(engine, name, asked.parameters)
    return Response()


@router.post(
    "/v2/repository/models/{name}/unload",
    summary="Unload a model",
    operation_id="oip_unload",
    description="As `/v1/models/{name}/unload`, all versions; the answer is empty." + NEEDS_KEY,
    response_class=Response,
    responses={200: {"description": "The model answers no more."}, **CHANGES},
    openapi_extra={"requestBody": describe_body(RepositoryRequest, {}, required=False)},
    dependencies=[Depends(admit)],
)
async def unload_model(request: Request, engine: EngineHeld, name: ViewName) -> Response:
    asked = parse_json(RepositoryRequest, await _read(request, engine))
    await repository.unload(engine, name, asked.parameters)
    return Response()


async def _read(request: Request, engine: EngineHeld) -> bytes:
    body = Body(request, max_bytes=request.app.state.max_body)
    return await body.read(engine.deadline(None)) or b"{}"
