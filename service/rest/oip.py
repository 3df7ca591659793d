"""`/v2`: the Open Inference Protocol, with binary tensors."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Path, Request, Response

from service.inference.documents import server_timing
from service.oip.inference import infer
from service.oip.metadata import Json, configure_view, describe_server, describe_view
from service.oip.views import View, find_view, list_views
from service.rest.body import Body
from service.rest.description import problems
from service.rest.hangup import unless_gone
from service.rest.held import CallerKnown, EngineHeld
from service.rest.oip_body import HEADER_LENGTH, parse_request, write_reply
from service.rest.oip_description import INFER, INFER_BODY, INFER_HEADERS, INFER_RESPONSES
from service.rest.oip_schemas import Live, ModelDescription, Ready, ServerDescription
from service.rest.probes import check_ready
from service.rest.problem import access_of
from service.rest.query import read_timeout

MODEL = "/v2/models/{name}"
VERSION = "/v2/models/{name}/versions/{version}"  # each path of MODEL is there for one version, too
AN_OBJECT = {"content": {"application/json": {"schema": {"type": "object"}}}}  # as Triton gives it

router = APIRouter(tags=["open inference protocol"])

ViewName = Annotated[str, Path(description="A model's name, or that and `.tensors`.")]


async def _view(request: Request, engine: EngineHeld, name: ViewName) -> View:
    return find_view(engine.catalog, name, request.path_params.get("version"))


ViewHeld = Annotated[View, Depends(_view)]


@router.get(
    "/v2",
    summary="Describe the server",
    operation_id="oip_server",
    response_class=Response,
    responses={200: {"model": ServerDescription}, **problems()},
)
async def describe() -> Response:
    """Its name, version, and the protocol's extensions that it knows."""
    return _answer(describe_server())


@router.head("/v2/health/live", include_in_schema=False)
@router.get(
    "/v2/health/live",
    summary="Is the process alive?",
    operation_id="oip_live",
    response_class=Response,
    responses={200: {"model": Live}},
)
async def tell_live() -> Response:
    """As `/healthz`."""
    return _answer({"live": True})


@router.head("/v2/health/ready", include_in_schema=False)
@router.get(
    "/v2/health/ready",
    summary="Is the service ready?",
    operation_id="oip_ready",
    response_class=Response,
    responses={200: {"model": Ready}, **problems(503)},
)
async def tell_ready(engine: EngineHeld, known: CallerKnown) -> Response:
    """As `/readyz`, in fewer words."""
    check_ready(engine, known=known)
    return _answer({"ready": True})


@router.get(
    "/v2/models/stats",
    summary="Count the inferences of all models",
    operation_id="oip_all_statistics",
    response_class=Response,
    responses={200: AN_OBJECT, **problems(503)},
)
async def count_all(engine: EngineHeld) -> Response:
    """How many each model has made by this protocol since the start, and the nanoseconds in each stage."""
    return _answer(engine.statistics.describe(view.key for view in list_views(engine.catalog)))


@router.get(f"{VERSION}/stats", include_in_schema=False)
@router.get(
    f"{MODEL}/stats",
    summary="Count a model's inferences",
    operation_id="oip_statistics",
    response_class=Response,
    responses={200: AN_OBJECT, **problems(404, 503)},
)
async def count(engine: EngineHeld, view: ViewHeld) -> Response:
    """As `/v2/models/stats`, of one model."""
    return _answer(engine.statistics.describe([view.key]))


@router.get(VERSION, include_in_schema=False)
@router.get(
    MODEL,
    summary="Describe a model's tensors",
    operation_id="oip_model",
    response_class=Response,
    responses={200: {"model": ModelDescription}, **problems(404, 503)},
)
async def describe_model(engine: EngineHeld, view: ViewHeld) -> Response:
    """Its versions, inputs and outputs."""
    return _answer(describe_view(view, engine.catalog))


@router.get(f"{VERSION}/ready", include_in_schema=False)
@router.get(
    f"{MODEL}/ready",
    summary="Is a model ready?",
    operation_id="oip_model_ready",
    response_class=Response,
    responses={200: {"model": Ready}, **problems(404, 503)},
)
async def tell_model_ready(engine: EngineHeld, view: ViewHeld) -> Response:
    """Models become ready together."""
    check_ready(engine, known=True)
    return _answer({"name": view.name, "ready": True})


@router.get(f"{VERSION}/config", include_in_schema=False)
@router.get(
    f"{MODEL}/config",
    summary="Describe a model as Triton does",
    operation_id="oip_config",
    response_class=Response,
    responses={200: AN_OBJECT, **problems(404, 503)},
)
async def configure_model(view: ViewHeld) -> Response:
    """The parts of Triton's `ModelConfig` that apply; `labels` are among its parameters."""
    return _answer(configure_view(view))


@router.post(f"{VERSION}/infer", include_in_schema=False)
@router.post(
    f"{MODEL}/infer",
    summary="Infer",
    operation_id="oip_infer",
    description=INFER,
    response_class=Response,
    responses=INFER_RESPONSES,
    openapi_extra={"requestBody": INFER_BODY, "parameters": INFER_HEADERS},
)
async def infer_model(request: Request, engine: EngineHeld, view: ViewHeld) -> Response:
    """One inference; what cannot succeed is refused before the body is read."""
    deadline = engine.deadline(read_timeout(request.headers))
    body = Body(request, max_bytes=request.app.state.max_body)
    engine.admission.check()
    content = await body.read(deadline)
    version = request.path_params.get("version")
    asked, formats = parse_request(content, request.headers.get(HEADER_LENGTH), view=view, version=version)
    work = infer(
        engine,
        asked,
        deadline=deadline,
        access=access_of(request),
        render=lambda reply: write_reply(reply, formats),
    )
    reply, (payload, headers) = await unless_gone(request, work)
    timing = server_timing(reply.timings, queue_ms=reply.queue_ms, render_ms=reply.render_ms)
    return Response(payload, headers=headers | {"server-timing": timing})


def _answer(content: Json) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
