"""`/v1/models`: the models that answer; loading and unloading them with an admin key."""

from typing import Annotated

from fastapi import APIRouter, Query

from service.inference.documents import model_to_json
from service.rest.guard import AdminOnly, EngineHeld
from service.rest.openapi import CHANGES, problems
from service.rest.parameters import ModelName, ModelQuery, NoQuery
from service.rest.schemas import ModelAnswer, ModelsAnswer
from service.serving import changes
from service.serving.engine import Models

router = APIRouter(tags=["models"])

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


@router.get(
    "/v1/models",
    summary="List the models",
    operation_id="list_models",
    responses=problems(400, 503),
)
async def list_models(engine: EngineHeld, query: Annotated[NoQuery, Query()]) -> ModelsAnswer:
    """Every model and version that answers, the default first, and the reasons why others do not."""
    return describe_models(engine.catalog)


@router.get(
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


@router.post(
    "/v1/models/{name}/load",
    summary="Load a model, or load it again",
    operation_id="load_model",
    description=LOAD,
    responses=problems(*CHANGES),
    dependencies=[AdminOnly],
)
async def load_model(name: ModelName, engine: EngineHeld, query: Annotated[NoQuery, Query()]) -> ModelsAnswer:
    return describe_models(await changes.load_model(engine, name))


@router.post(
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
