"""blitzmask.v1.SegmentationService."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from service.errors import InvalidImage, NotReady
from service.rpc.boundary import Context, answer_call
from service.rpc.convert import model_to_proto, options_from_proto, refuse_unknown
from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.rendering import render_answer
from service.rpc.stream import FrameStream
from service.security.callers import ANYBODY, Rules
from service.serving.engine import Call, Engine
from service.telemetry.request_log import Access

T = TypeVar("T")


class SegmentationService:
    """Hands every call to the engine; the names of its methods are those of the .proto file."""

    def __init__(self, engine: Engine, rules: Rules = ANYBODY, *, max_message: int) -> None:
        """`max_message`: the size in bytes above which gRPC refuses a message and ends its whole stream."""
        self._engine = engine
        self._rules = rules
        self._max_message = max_message

    async def Segment(self, request: pb.SegmentRequest, context: Context) -> bytes:  # noqa: N802
        work = partial(self._segment, request, context)
        return await self._answer(context, "Segment", work)

    async def SegmentStream(self, frames: object, context: Context) -> None:  # noqa: N802
        work = partial(self._segment_stream, context)
        await self._answer(context, "SegmentStream", work)

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:  # noqa: N802
        work = partial(self._list_models, request)
        return await self._answer(context, "ListModels", work)

    async def _answer(self, context: Context, method: str, work: Callable[[Access], Awaitable[T]]) -> T:
        engine = self._engine
        return await answer_call(engine.metrics, context, method, work, tracer=engine.tracer)

    async def _segment(self, request: pb.SegmentRequest, context: Context, access: Access) -> bytes:
        if self._engine.leaving:  # clients retry UNAVAILABLE elsewhere; gRPC itself would answer CANCELLED
            raise NotReady("the service is stopping")
        refuse_unknown(request)
        if not request.image:
            raise InvalidImage("the request has no image: 0 bytes")
        asked = request.options
        deadline = self._engine.deadline(context.time_remaining())
        options = options_from_proto(asked)
        call = Call(request.image, options, asked.model or None, asked.version or None, deadline)
        answer, response = await self._engine.segment(call, render_answer)
        access.found(answer.segmentation, queue_ms=answer.queue_ms, render_ms=answer.render_ms)
        return response

    async def _segment_stream(self, context: Context, access: Access) -> None:
        stream = FrameStream(
            self._engine, context, access=access, rules=self._rules, max_message=self._max_message
        )
        await stream.answer()

    async def _list_models(self, request: pb.ListModelsRequest, access: Access) -> pb.ListModelsResponse:
        refuse_unknown(request)
        catalog = self._engine.catalog
        models = [model_to_proto(model) for model in catalog.models()]
        return pb.ListModelsResponse(models=models, refused=dict(catalog.failures), unloaded=catalog.unloaded)
