"""What an orchestrator asks: is it alive, is it ready, how is it doing."""

import orjson
from fastapi import APIRouter, Response

from service.errors import NotReady
from service.inference.documents import Json, backend_to_json
from service.rest.description import problems
from service.rest.held import CallerKnown, EngineHeld
from service.rest.schemas import Liveness, Readiness
from service.serving.engine import Engine, Models
from service.telemetry.metrics import CONTENT_TYPE

router = APIRouter(tags=["operations"])


@router.head("/healthz", include_in_schema=False)
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


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Is the service ready?",
    operation_id="readyz",
    response_class=Response,
    responses={200: {"model": Readiness}, **problems(503)},
)
async def readyz(engine: EngineHeld, known: CallerKnown) -> Response:
    """Ready once models are loaded, warmed up and self-tested; not ready again from SIGTERM on.

    Where callers need keys, who shows none learns this much, and neither the models nor what is wrong.
    """
    check_ready(engine, known=known)
    content: Json = {"status": "ready"}
    if known:
        content |= _describe_models(engine.catalog)
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


def check_ready(engine: Engine, *, known: bool) -> None:
    """Raises NotReady, and says why to who is known."""
    if not engine.ready:
        raise NotReady("; ".join(engine.reasons) if known else "the service is not ready; a key shows why")


def _describe_models(catalog: Models) -> Json:
    models = [
        {
            "name": model.card.name,
            "version": model.card.version,
            "backend": backend_to_json(model.backend.describe()),
        }
        for model in catalog.models()
    ]
    return {"models": models, "refused": dict(catalog.failures)}
