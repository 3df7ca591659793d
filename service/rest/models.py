"""`GET /v1/models`: which models answer, and what computes them."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Response

from service.inference.documents import Json, model_to_json
from service.rest.asked import ModelName, ModelQuery, NoQuery
from service.rest.description import problems
from service.rest.held import EngineHeld
from service.rest.schemas import ModelAnswer, ModelsAnswer
from service.serving.engine import Models

router = APIRouter(tags=["models"])


def models_to_json(catalog: Models) -> Json:
    """What serves, why others do not, and what was unloaded."""
    models = [model_to_json(model) for model in catalog.models()]
    return {"models": models, "refused": dict(catalog.failures), "unloaded": list(catalog.unloaded)}


@router.get(
    "/v1/models",
    summary="List the models",
    operation_id="list_models",
    response_class=Response,
    responses={200: {"model": ModelsAnswer}, **problems(400, 503)},
)
async def list_models(engine: EngineHeld, query: Annotated[NoQuery, Query()]) -> Response:
    """Every model and version that answers, the default first, and why others do not."""
    return Response(orjson.dumps(models_to_json(engine.catalog)), media_type="application/json")


@router.get(
    "/v1/models/{name}",
    summary="Describe a model",
    operation_id="describe_model",
    response_class=Response,
    responses={200: {"model": ModelAnswer}, **problems(400, 404, 503)},
)
async def describe_model(
    name: ModelName, engine: EngineHeld, query: Annotated[ModelQuery, Query()]
) -> Response:
    """One model, in its newest version unless told."""
    model = engine.catalog.get(name, query.version or None)
    return Response(orjson.dumps(model_to_json(model)), media_type="application/json")
