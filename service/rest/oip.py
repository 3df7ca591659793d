"""`/v2`: the Open Inference Protocol, apart from inference itself: health, models, the repository."""

from typing import TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from service.oip.models import (
    configure_view,
    describe_server,
    describe_view,
    index_models,
    list_views,
    load_view,
    unload_view,
)
from service.rest.bodies import Body, parse
from service.rest.dependencies import AdminOnly, CallerKnown, EngineHeld, ViewHeld, ViewName
from service.rest.oip_schemas import (
    IndexEntry,
    IndexRequest,
    Live,
    ModelDescription,
    Ready,
    RepositoryRequest,
    ServerDescription,
    parse_json,
)
from service.rest.openapi import CHANGES, UPLOAD, describe_body, problems
from service.rest.operations import NEEDS_KEY, check_ready

B = TypeVar("B", bound=BaseModel)

MODEL = "/v2/models/{name}"
VERSION = "/v2/models/{name}/versions/{version}"  # every path of MODEL exists for one version, too
REPOSITORY_BODY = describe_body(RepositoryRequest, {}, required=False)

router = APIRouter(tags=["open inference protocol"])


@router.get("/v2", summary="Describe the server", operation_id="oip_server", responses=problems())
async def describe() -> ServerDescription:
    """Its name, version, and the extensions of the protocol that it knows."""
    return ServerDescription.model_validate(describe_server())


@router.get("/v2/health/live", summary="Is the process alive?", operation_id="oip_live")
async def tell_live() -> Live:
    """As `/healthz`."""
    return Live(live=True)


@router.get(
    "/v2/health/ready",
    summary="Is the service ready?",
    operation_id="oip_ready",
    response_model_exclude_unset=True,
    responses=problems(503),
)
async def tell_ready(engine: EngineHeld, known: CallerKnown) -> Ready:
    """As `/readyz`, without the models."""
    check_ready(engine, known=known)
    return Ready(ready=True)


@router.get(
    "/v2/models/stats",
    summary="Count the inferences of all models",
    operation_id="oip_all_statistics",
    responses=problems(503),
)
async def count_all(engine: EngineHeld) -> dict[str, object]:
    """Each model's inferences over this protocol since the start, and the nanoseconds in each stage."""
    return engine.statistics.describe(view.key for view in list_views(engine.catalog))


@router.get(f"{VERSION}/stats", include_in_schema=False)
@router.get(
    f"{MODEL}/stats",
    summary="Count a model's inferences",
    operation_id="oip_statistics",
    responses=problems(404, 503),
)
async def count(engine: EngineHeld, view: ViewHeld) -> dict[str, object]:
    """As `/v2/models/stats`, of one model."""
    return engine.statistics.describe([view.key])


@router.get(VERSION, include_in_schema=False)
@router.get(
    MODEL, summary="Describe a model's tensors", operation_id="oip_model", responses=problems(404, 503)
)
async def describe_model(engine: EngineHeld, view: ViewHeld) -> ModelDescription:
    """Its versions, inputs and outputs."""
    return ModelDescription.model_validate(describe_view(view, engine.catalog))


@router.get(f"{VERSION}/ready", include_in_schema=False)
@router.get(
    f"{MODEL}/ready",
    summary="Is a model ready?",
    operation_id="oip_model_ready",
    response_model_exclude_unset=True,
    responses=problems(404, 503),
)
async def tell_model_ready(engine: EngineHeld, view: ViewHeld) -> Ready:
    """All models become ready at the same time."""
    check_ready(engine, known=True)
    return Ready(ready=True, name=view.name)


@router.get(f"{VERSION}/config", include_in_schema=False)
@router.get(
    f"{MODEL}/config",
    summary="Describe a model as Triton does",
    operation_id="oip_config",
    responses=problems(404, 503),
)
async def configure_model(view: ViewHeld) -> dict[str, object]:
    """The parts of Triton's `ModelConfig` that apply; `labels` are among its parameters."""
    return configure_view(view)


@router.post(
    "/v2/repository/index",
    summary="List the repository",
    operation_id="oip_index",
    responses=problems(*UPLOAD),
    openapi_extra={"requestBody": describe_body(IndexRequest, {"ready": True}, required=False)},
)
async def index(request: Request, engine: EngineHeld) -> list[IndexEntry]:
    """Every model under both its names, and the folders whose models do not answer, with the reasons."""
    asked = await _read(IndexRequest, request, engine)
    entries = index_models(engine.catalog, ready_only=asked.ready)
    return [IndexEntry.model_validate(entry) for entry in entries]


@router.post(
    "/v2/repository/models/{name}/load",
    summary="Load a model, or load it again",
    operation_id="oip_load",
    description="As `/v1/models/{name}/load`, for clients of the protocol; the answer is empty." + NEEDS_KEY,
    response_class=Response,
    responses={200: {"description": "The model answers."}, **problems(*CHANGES, *UPLOAD)},
    openapi_extra={"requestBody": REPOSITORY_BODY},
    dependencies=[AdminOnly],
)
async def load_model(request: Request, engine: EngineHeld, name: ViewName) -> Response:
    asked = await _read(RepositoryRequest, request, engine)
    await load_view(engine, name, asked.parameters)
    return Response()


@router.post(
    "/v2/repository/models/{name}/unload",
    summary="Unload a model",
    operation_id="oip_unload",
    description="As `/v1/models/{name}/unload`, all versions; the answer is empty." + NEEDS_KEY,
    response_class=Response,
    responses={200: {"description": "The model answers no more."}, **problems(*CHANGES, *UPLOAD)},
    openapi_extra={"requestBody": REPOSITORY_BODY},
    dependencies=[AdminOnly],
)
async def unload_model(request: Request, engine: EngineHeld, name: ViewName) -> Response:
    asked = await _read(RepositoryRequest, request, engine)
    await unload_view(engine, name, asked.parameters)
    return Response()


async def _read(schema: type[B], request: Request, engine: EngineHeld) -> B:
    with Body(request) as body:
        content = await body.read(engine.deadline(None)) or b"{}"
        return await parse(len(content), parse_json, schema, content)
