"""inference.GRPCInferenceService: the Open Inference Protocol."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from service.errors import BlitzError, NotReady
from service.oip.inference import infer
from service.oip.models import (
    Json,
    View,
    configure_view,
    describe_server,
    describe_view,
    find_view,
    index_models,
    load_view,
    select_views,
    unload_view,
)
from service.rpc.boundary import Context, answer_call, read_metadata
from service.rpc.generated import grpc_predict_v2_pb2 as pb
from service.rpc.messages import render_reply
from service.rpc.oip_inference import LONGEST_NAME, InferenceStream, request_from_proto
from service.security.callers import ANYBODY, Rules
from service.serving.changes import admit_admin
from service.serving.engine import Engine
from service.telemetry.request_log import RequestRecord

M = TypeVar("M", bound=Message)
T = TypeVar("T")


class InferenceService:
    """Hands every call to the engine; the names of its methods are those of the .proto file."""

    def __init__(self, engine: Engine, rules: Rules = ANYBODY) -> None:
        self._engine = engine
        self._rules = rules

    async def ServerLive(self, request: pb.ServerLiveRequest, context: Context) -> pb.ServerLiveResponse:  # noqa: N802
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: pb.ServerReadyRequest, context: Context) -> pb.ServerReadyResponse:  # noqa: N802
        return pb.ServerReadyResponse(ready=self._engine.ready)

    async def ModelReady(self, request: pb.ModelReadyRequest, context: Context) -> pb.ModelReadyResponse:  # noqa: N802
        return pb.ModelReadyResponse(ready=self._engine.ready and self._knows(request.name, request.version))

    async def ServerMetadata(  # noqa: N802
        self, request: pb.ServerMetadataRequest, context: Context
    ) -> pb.ServerMetadataResponse:
        return await self._tell(context, pb.ServerMetadataResponse(), describe_server)

    async def ModelMetadata(  # noqa: N802
        self, request: pb.ModelMetadataRequest, context: Context
    ) -> pb.ModelMetadataResponse:
        def describe() -> Json:
            return describe_view(self._find(request.name, request.version), self._engine.catalog)

        return await self._tell(context, pb.ModelMetadataResponse(), describe)

    async def ModelConfig(self, request: pb.ModelConfigRequest, context: Context) -> pb.ModelConfigResponse:  # noqa: N802
        def configure() -> Json:
            return {"config": configure_view(self._find(request.name, request.version))}

        return await self._tell(context, pb.ModelConfigResponse(), configure)

    async def ModelStatistics(  # noqa: N802
        self, request: pb.ModelStatisticsRequest, context: Context
    ) -> pb.ModelStatisticsResponse:
        def count() -> Json:
            views = select_views(self._engine.catalog, request.name, request.version)
            return self._engine.statistics.describe(view.key for view in views)

        return await self._tell(context, pb.ModelStatisticsResponse(), count)

    async def RepositoryIndex(  # noqa: N802
        self, request: pb.RepositoryIndexRequest, context: Context
    ) -> pb.RepositoryIndexResponse:
        def index() -> Json:
            return {"models": index_models(self._engine.catalog, ready_only=request.ready)}

        return await self._tell(context, pb.RepositoryIndexResponse(), index)

    async def RepositoryModelLoad(  # noqa: N802
        self, request: pb.RepositoryModelLoadRequest, context: Context
    ) -> pb.RepositoryModelLoadResponse:
        work = partial(load_view, self._engine, request.model_name, request.parameters)
        return await self._change(context, pb.RepositoryModelLoadResponse(), work)

    async def RepositoryModelUnload(  # noqa: N802
        self, request: pb.RepositoryModelUnloadRequest, context: Context
    ) -> pb.RepositoryModelUnloadResponse:
        work = partial(unload_view, self._engine, request.model_name, request.parameters)
        return await self._change(context, pb.RepositoryModelUnloadResponse(), work)

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Context) -> bytes:  # noqa: N802
        work = partial(self._infer, request, context)
        return await self._answer(context, "ModelInfer", work)

    async def ModelStreamInfer(self, requests: object, context: Context) -> None:  # noqa: N802
        work = InferenceStream(self._engine, context, self._rules).answer
        await self._answer(context, "ModelStreamInfer", work)

    async def _answer(
        self, context: Context, method: str, work: Callable[[RequestRecord], Awaitable[T]]
    ) -> T:
        engine = self._engine
        return await answer_call(engine.metrics, context, method, work, tracer=engine.tracer)

    async def _infer(self, request: pb.ModelInferRequest, context: Context, record: RequestRecord) -> bytes:
        if self._engine.leaving:  # clients retry UNAVAILABLE elsewhere; gRPC itself would answer CANCELLED
            raise NotReady("the service is stopping")
        record.about["model"] = request.model_name[:LONGEST_NAME]
        deadline = self._engine.deadline(context.time_remaining())
        asked = request_from_proto(request, self._engine.catalog)
        _, response = await infer(self._engine, asked, deadline=deadline, record=record, render=render_reply)
        return response

    async def _tell(self, context: Context, response: M, work: Callable[[], Json]) -> M:
        """The response, filled with the result of `work`."""

        async def tell(record: RequestRecord) -> M:
            return ParseDict(work(), response)

        return await self._answer(context, _name_method(response), tell)

    async def _change(self, context: Context, response: M, work: Callable[[], Awaitable[None]]) -> M:
        """The response, after `work` has changed the models; the caller needs an admin's key."""

        async def change(record: RequestRecord) -> M:
            admit_admin(self._rules.callers, read_metadata(context), record)
            await work()
            return response

        return await self._answer(context, _name_method(response), change)

    def _find(self, name: str, version: str) -> View:
        return find_view(self._engine.catalog, name, version)

    def _knows(self, name: str, version: str) -> bool:
        try:
            self._find(name, version)
        except BlitzError:
            return False
        return True


def _name_method(response: Message) -> str:
    return response.DESCRIPTOR.name.removesuffix("Response")
