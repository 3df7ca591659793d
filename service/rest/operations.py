"""For operators: the models that answer, their loading and unloading; liveness, readiness and metrics."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from service.errors import NotReady
from service.inference.documents import backend_to_json, model_to_json
from service.rest.dependencies import AdminOnly, CallerKnown, EngineHeld, ModelName
from service.rest.openapi import CHANGES, problems
from service.rest.parameters import ModelQuery, NoQuery
from service.rest.schemas import Liveness, ModelAnswer, ModelsAnswer, Readiness
from service.serving import changes
from service.serving.engine import Engine, Models
from service.telemetry.metrics import CONTENT_TYPE

models_router = APIRouter(tags=["models"])

NEEDS_KEY = """

Needs an admin key, as `X-API-Key` or `Authorization: Bearer`; the operator sets its hash: `BLITZ_ADMIN_KEYS`.
With several workers the call is refused, because it would reach only one of them: let them watch the models
folder instead, with `BLITZ_WATCH_S`."""
LOAD = (
    """Opens the folders of a model, all its versions, and tests them; only then do they replace the old
version. If loading fails, the old version keeps serving; the problem and `/v1/models` say why."""
    + NEEDS_KEY
)
UNLOAD = (
    """Stops a model, or one version of it, until it is loaded again or its folder changes; requests in work
are finished. The default model stays."""
    + NEEDS_KEY
)


@models_router.get(
    "/v1/models",
    summary="List the models",
    operation_id="list_models",
    responses=problems(400, 503),
)
async def list_models(engine: EngineHeld, query: Annotated[NoQuery, Query()]) -> ModelsAnswer:
    """Every model and version that answers, the default first, and the reasons why others do not."""
    return describe_models(engine.catalog)


@models_router.get(
    "/v1/models/{name}",
    summary="Describe a model",
    operation_id="describe_model",
    responses=problems(400, 404, 503),
)
async def describe_model(
    name: ModelName, engine: EngineHeld, query: Annotated[ModelQuery, Query()]
) -> ModelAnswer:
    """One model, in its newest version unless the query names one."""
    return ModelAnswer.model_validate(model_to_json(engine.catalog.get(name, query.version or None)))


@models_router.post(
    "/v1/models/{name}/load",
    summary="Load a model, or load it again",
    operation_id="load_model",
    description=LOAD,
    responses=problems(*CHANGES),
    dependencies=[AdminOnly],
)
async def load_model(name: ModelName, engine: EngineHeld, query: Annotated[NoQuery, Query()]) -> ModelsAnswer:
    return describe_models(await changes.load_model(engine, name))


@models_router.post(
    "/v1/models/{name}/unload",
    summary="Unload a model",
    operation_id="unload_model",
    description=UNLOAD,
    responses=problems(*CHANGES),
    dependencies=[AdminOnly],
)
async def unload_model(
    name: ModelName, engine: EngineHeld, query: Annotated[ModelQuery, Query()]
) -> ModelsAnswer:
    return describe_models(await changes.unload_model(engine, name, query.version or None))


def describe_models(catalog: Models) -> ModelsAnswer:
    """The models that serve, the reasons why others do not, and those that were unloaded."""
    models = [ModelAnswer.model_validate(model_to_json(model)) for model in catalog.models()]
    return ModelsAnswer(models=models, refused=dict(catalog.failures), unloaded=list(catalog.unloaded))


probes_router = APIRouter(tags=["operations"])


@probes_router.get("/healthz", summary="Is the process alive?", operation_id="healthz")
async def healthz() -> Liveness:
    """Answers as long as the process does; restart the process when this fails."""
    return Liveness(status="alive")


@probes_router.get(
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


@probes_router.get(
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
