"""What an orchestrator asks: is it alive, is it ready, how is it doing."""

import orjson
from fastapi import APIRouter, Response

from service.errors import NotReady
from service.metrics import CONTENT_TYPE
from service.rest.convert import backend_to_json
from service.rest.description import problems
from service.rest.held import EngineHeld
from service.rest.schemas import Liveness, Readiness

router = APIRouter(tags=["operations"])


@router.get(
    "/healthz",
    summary="Is the process alive?",
    operation_id="healthz",
    response_class=Response,
    responses={200: {"model": Liveness}},
)
async def healthz() -> Response:
    """Answers as long as the process does; restart it when this fails."""
    return Response(b'{"status":"alive"}', media_type="application/json")


@router.get(
    "/readyz",
    summary="Is the service ready?",
    operation_id="readyz",
    response_class=Response,
    responses={200: {"model": Readiness}, **problems(503)},
)
async def readyz(engine: EngineHeld) -> Response:
    """Ready once models are loaded, warmed up and self-tested; not ready again from SIGTERM on."""
    if not engine.ready:
        raise NotReady("; ".join(engine.reasons))
    models = [
        {
            "name": model.card.name,
            "version": model.card.version,
            "backend": backend_to_json(model.backend.describe()),
        }
        for model in engine.catalog.models()
    ]
    content = {"status": "ready", "models": models, "refused": dict(engine.catalog.failures)}
    return Response(orjson.dumps(content), media_type="application/json")


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    operation_id="metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(engine: EngineHeld) -> Response:
    """Requests, stages, queue, rejections and models, in Prometheus' text format."""
    return Response(engine.metrics.exposition(), headers={"content-type": CONTENT_TYPE})
