"""`/v2`: the Open Inference Protocol, with binary tensors.

Not in our OpenAPI description: the protocol has its own, and each model tells its tensors itself.
"""

import orjson
from fastapi import APIRouter, Request, Response

from service.engine import Engine
from service.errors import InvalidOption
from service.oip.inference import infer
from service.oip.metadata import Json, configure_view, describe_server, describe_view, index_models
from service.oip.views import find_view, select_views
from service.rest.body import Body
from service.rest.convert import server_timing
from service.rest.hangup import unless_gone
from service.rest.held import CallerKnown, EngineHeld
from service.rest.oip_body import HEADER_LENGTH, parse_request, write_reply
from service.rest.probes import check_ready
from service.rest.problem import access_of
from service.rest.query import read_timeout

MODEL = "/v2/models/{name}"
VERSION = "/v2/models/{name}/versions/{version}"


router = APIRouter(include_in_schema=False)


@router.get("/v2")
async def describe() -> Response:
    return _answer(describe_server())


@router.head("/v2/health/live", include_in_schema=False)
@router.get("/v2/health/live")
async def tell_live() -> Response:
    return _answer({"live": True})


@router.head("/v2/health/ready", include_in_schema=False)
@router.get("/v2/health/ready")
async def tell_ready(engine: EngineHeld, known: CallerKnown) -> Response:
    check_ready(engine, known=known)
    return _answer({"ready": True})


@router.get("/v2/models/stats")
async def count_all(engine: EngineHeld) -> Response:
    return _count(engine, "", "")


@router.get(f"{MODEL}/stats")
@router.get(f"{VERSION}/stats")
async def count(engine: EngineHeld, name: str, version: str = "") -> Response:
    return _count(engine, name, version)


@router.get(MODEL)
@router.get(VERSION)
async def describe_model(engine: EngineHeld, name: str, version: str = "") -> Response:
    catalog = engine.catalog
    return _answer(describe_view(find_view(catalog, name, version), catalog))


@router.get(f"{MODEL}/ready")
@router.get(f"{VERSION}/ready")
async def tell_model_ready(engine: EngineHeld, name: str, version: str = "") -> Response:
    view = find_view(engine.catalog, name, version)
    check_ready(engine, known=True)
    return _answer({"name": view.name, "ready": True})


@router.get(f"{MODEL}/config")
@router.get(f"{VERSION}/config")
async def configure_model(engine: EngineHeld, name: str, version: str = "") -> Response:
    return _answer(configure_view(find_view(engine.catalog, name, version)))


@router.post("/v2/repository/index")
async def index(request: Request, engine: EngineHeld) -> Response:
    body = Body(request, max_bytes=request.app.state.max_body)
    ready = _read_ready(await body.read(engine.deadline(None)))
    return _answer(index_models(engine.catalog, ready_only=ready))


@router.post(f"{MODEL}/infer")
@router.post(f"{VERSION}/infer")
async def infer_model(request: Request, engine: EngineHeld, name: str, version: str = "") -> Response:
    """One inference; what cannot succeed is refused before the body is read."""
    deadline = engine.deadline(read_timeout(request.headers))
    body = Body(request, max_bytes=request.app.state.max_body)
    view = find_view(engine.catalog, name, version)
    engine.admission.check()
    content = await body.read(deadline)
    asked, formats = parse_request(
        content, request.headers.get(HEADER_LENGTH), view=view, version=version or None
    )
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


def _count(engine: Engine, name: str, version: str) -> Response:
    views = select_views(engine.catalog, name, version)
    return _answer(engine.statistics.describe(view.key for view in views))


def _read_ready(body: bytes) -> bool:
    """Whether only models that answer are asked for; raises InvalidOption."""
    try:
        asked = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise InvalidOption(f"the body is not JSON: {error}") from error
    ready = asked.get("ready", False) if isinstance(asked, dict) else None
    if not isinstance(ready, bool):
        raise InvalidOption('the body is not {"ready": true} or {"ready": false}')
    return ready


def _answer(content: Json | list[Json]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
