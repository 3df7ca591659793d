"""The questions of an orchestrator: is the service alive, is it ready, and how busy is it."""

from fastapi import APIRouter, Response

from service.errors import NotReady
from service.inference.documents import backend_to_json
from service.rest.guard import CallerKnown, EngineHeld
from service.rest.openapi import problems
from service.rest.schemas import Liveness, Readiness
from service.serving.engine import Engine
from service.telemetry.metrics import CONTENT_TYPE

router = APIRouter(tags=["operations"])


@router.get("/healthz", summary="Is the process alive?", operation_id="healthz")
async def healthz() -> Liveness:
    """Answers as long as the process does; restart the process when this fails."""
    return Liveness(status="alive")


@router.get(
    "/readyz",
    summary="Is the service ready?",
    operation_id="readyz",
    response_model_exclude_unset=True,
    responses=problems(503),
)
async def readyz(engine: EngineHeld, known: CallerKnown) -> Readiness:
    """Ready once models are loaded, warmed up and self-tested; not ready again from SIGTERM on.

    Where calls need a key, a caller without one learns only this, and neither the models nor the reasons.
    """
    check_ready(engine, known=known)
    if not known:
        return Readiness(status="ready")
    models = [
        {
            "name": model.card.name,
            "version": model.card.version,
            "backend": backend_to_json(model.backend.describe()),
        }
        for model in engine.catalog.models()
    ]
    content = {"status": "ready", "models": models, "refused": dict(engine.catalog.failures)}
    return Readiness.model_validate(content)


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
    """Raises NotReady, with the reasons for a caller that is known."""
    if not engine.ready:
        raise NotReady("; ".join(engine.reasons) if known else "the service is not ready; a key shows why")
