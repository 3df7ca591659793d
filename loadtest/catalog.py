"""Which models a server answers with."""

import grpc.aio
from pydantic import BaseModel

from loadtest.clients.rpc import open_channel, read_metadata
from loadtest.errors import CannotRun
from loadtest.pages import fetch
from loadtest.targets import Target
from service.rpc.generated import segmentation_pb2 as messages

_METHOD = "/blitzmask.v1.SegmentationService/ListModels"


class _Model(BaseModel):
    name: str


class _Models(BaseModel):
    models: list[_Model]


async def list_models(target: Target) -> tuple[str, ...]:
    """The names of all models, the default one first; raises CannotRun where the server tells none."""
    try:
        names = await (_ask_rest(target) if target.transport == "rest" else _ask_grpc(target))
    except (OSError, ValueError, grpc.aio.AioRpcError) as error:
        raise CannotRun(f"{target} does not list its models: give --model") from error
    return tuple(dict.fromkeys(names))  # versions of one model share its name


async def _ask_rest(target: Target) -> list[str]:
    page = await fetch(f"{target.scheme}://{target.authority}/v1/models", target.credentials)
    return [model.name for model in _Models.model_validate_json(page).models]


async def _ask_grpc(target: Target) -> list[str]:
    async with open_channel(target) as channel:
        call = channel.unary_unary(
            _METHOD,
            request_serializer=messages.ListModelsRequest.SerializeToString,
            response_deserializer=messages.ListModelsResponse.FromString,
        )
        listed = await call(
            messages.ListModelsRequest(), timeout=target.timeout, metadata=read_metadata(target)
        )
    return [model.name for model in listed.models]
