"""blitzmask.v1.SegmentationService: its calls, and the frames of SegmentStream, answered by a session."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

from service.errors import InvalidImage, InvalidOption, NotReady
from service.frames import FrameResult, Overlap, Policy, RawFormat, RawImage, StreamOptions
from service.rpc import MAX_MESSAGE
from service.rpc.boundary import CALLER, Context, answer_call, begin_answer, error_to_frame
from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.messages import (
    frame_field,
    model_to_proto,
    options_from_proto,
    refuse_unknown,
    render_answer,
)
from service.rpc.registry import check_read
from service.rpc.scenes import report_to_proto, scene_from_proto
from service.security.callers import ANYBODY, Rules
from service.serving.engine import Call, Engine
from service.serving.streaming import Frame, Picture, StreamEnds, unless_stopped
from service.telemetry.request_log import FrameLog, RequestRecord
from service.types import Answer, Segmentation, Size

T = TypeVar("T")

FRAME = "SegmentStream/frame"
RESPONSE = pb.FrameResult.DESCRIPTOR.fields_by_name["response"].number
POLICIES: dict[int, Policy] = {
    pb.FRAME_POLICY_UNSPECIFIED: "latest",
    pb.FRAME_POLICY_LATEST: "latest",
    pb.FRAME_POLICY_ALL: "all",
}
OVERLAPS: dict[int, Overlap] = {
    pb.TRACK_OVERLAP_UNSPECIFIED: "box",
    pb.TRACK_OVERLAP_BOX: "box",
    pb.TRACK_OVERLAP_MASK: "mask",
}
RAW_FORMATS: dict[int, RawFormat] = {
    pb.RAW_FORMAT_RGB: "rgb",
    pb.RAW_FORMAT_BGR: "bgr",
    pb.RAW_FORMAT_I420: "i420",
}


class FrameStream:
    """One call of SegmentStream; its first message may configure it."""

    def __init__(
        self, engine: Engine, context: Context, *, record: RequestRecord, rules: Rules, max_message: int
    ) -> None:
        self._engine = engine
        self._rules = rules
        self._max_message = max_message
        self._caller = CALLER.get()
        self._context = context
        self._log = FrameLog(engine.metrics, record, FRAME)
        self._first: pb.Frame | None = None

    async def answer(self) -> None:
        """Answer until the client has no more frames.

        Raises InvalidOption, ModelNotFound, NotReady or Overloaded when the stream cannot begin, and NotReady
        when the service stops.
        """
        stopping = self._engine.stopping
        self._first = await unless_stopped(self._receive(), stopping, within_s=self._rules.first_s)
        if self._first is not None:
            asked = self._first.options
            options = stream_options_from_proto(asked)
            model, version = asked.segment.model or None, asked.segment.version or None
            with self._engine.open_stream(options, model, version, render_answer) as session:
                await begin_answer(self._context, (MAX_MESSAGE, str(self._max_message)))
                await session.run(self._read, self._send, StreamEnds(stopping, self._rules.idle_s))
        if stopping.is_set():
            raise NotReady("the service is stopping; all frames read so far are answered")

    async def _read(self) -> Frame | None:
        """The next frame, None at the end. A first message without a picture only sets options."""
        message, self._first = self._first, None
        first = message is not None and message.WhichOneof("content") is not None
        if not first:
            message = await self._receive()
        if message is None:
            return None
        frame = frame_from_proto(message, first=first, arrived=asyncio.get_running_loop().time())
        refused = None if self._caller is None else self._caller.count()
        return frame if refused is None else replace(frame, picture=refused)

    async def _receive(self) -> pb.Frame | None:
        message = check_read(await self._context.read())
        return message if isinstance(message, pb.Frame) else None

    async def _send(self, result: FrameResult) -> None:
        self._log.write(result)
        await self._context.write(result_to_bytes(result))


def stream_options_from_proto(asked: pb.StreamOptions) -> StreamOptions:
    """The options of a stream; raises InvalidOption when one is unknown or out of range."""
    refuse_unknown(asked)
    return StreamOptions(
        segment=options_from_proto(asked.segment),
        policy=_look_up(POLICIES, asked.policy, "policy"),
        max_fps=asked.max_fps if asked.HasField("max_fps") else None,
        track=asked.track,
        track_overlap=_look_up(OVERLAPS, asked.track_overlap, "track_overlap"),
        track_memory=asked.track_memory_s if asked.HasField("track_memory_s") else 1.0,
        track_threshold=asked.track_threshold if asked.HasField("track_threshold") else None,
        scene=scene_from_proto(asked.scene) if asked.HasField("scene") else None,
    )


def frame_from_proto(message: pb.Frame, *, first: bool, arrived: float) -> Frame:
    """A frame; an error stands in the place of a picture that cannot be used."""
    picture: Picture
    try:
        refuse_unknown(message)
        if message.HasField("options") and not first:
            raise InvalidOption("options belong into the stream's first message")
        picture = _picture_from_proto(message)
    except (InvalidOption, InvalidImage) as error:
        picture = error
    captured_us = message.capture_time_us if message.HasField("capture_time_us") else None
    return Frame(message.frame_id, captured_us, picture, arrived)


def result_to_bytes(result: FrameResult) -> bytes:
    """A `FrameResult` message for one frame, with the same content as the live stream's JSON."""
    message = pb.FrameResult(
        frame_id=result.id, capture_time_us=result.captured_us, age_ms=result.age_ms, dropped=result.dropped
    )
    if result.report is not None:
        message.report.CopyFrom(report_to_proto(result.report))
    if isinstance(result.outcome, Exception):
        message.error.CopyFrom(error_to_frame(result.outcome))
        return message.SerializeToString()
    if isinstance(result.outcome, Segmentation):
        response = render_answer(Answer(result.outcome, result.queue_ms))
    else:
        response = result.outcome.content
    return message.SerializeToString() + frame_field(RESPONSE, response)


def _picture_from_proto(message: pb.Frame) -> Picture:
    if message.WhichOneof("content") == "raw":
        return _raw_from_proto(message.raw)
    if not message.image:
        raise InvalidImage("the frame has no image: 0 bytes")
    return message.image


def _raw_from_proto(raw: pb.RawImage) -> RawImage:
    refuse_unknown(raw)
    if raw.size.height < 1 or raw.size.width < 1:
        raise InvalidImage(f"the raw image's size is {raw.size.width} x {raw.size.height} pixels")
    return RawImage(
        _look_up(RAW_FORMATS, raw.format, "raw.format"), Size(raw.size.height, raw.size.width), raw.data
    )


def _look_up(known: Mapping[int, T], value: int, name: str) -> T:
    if value not in known:
        raise InvalidOption(f"{name} is {value}, which this service does not know")
    return known[value]


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

    async def _answer(
        self, context: Context, method: str, work: Callable[[RequestRecord], Awaitable[T]]
    ) -> T:
        engine = self._engine
        return await answer_call(engine.metrics, context, method, work, tracer=engine.tracer)

    async def _segment(self, request: pb.SegmentRequest, context: Context, record: RequestRecord) -> bytes:
        if self._engine.leaving:  # clients retry UNAVAILABLE elsewhere; gRPC itself would answer CANCELLED
            raise NotReady("the service is stopping")
        refuse_unknown(request)
        if not request.image:
            raise InvalidImage("the request has no image: 0 bytes")
        asked = request.options
        deadline = self._engine.deadline(context.time_remaining())
        options = options_from_proto(asked)
        call = Call(request.image, options, asked.model or None, asked.version or None, deadline)
        found, response = await self._engine.segment(call, render_answer)
        record.found(found)
        return response

    async def _segment_stream(self, context: Context, record: RequestRecord) -> None:
        stream = FrameStream(
            self._engine, context, record=record, rules=self._rules, max_message=self._max_message
        )
        await stream.answer()

    async def _list_models(
        self, request: pb.ListModelsRequest, record: RequestRecord
    ) -> pb.ListModelsResponse:
        refuse_unknown(request)
        catalog = self._engine.catalog
        models = [model_to_proto(model) for model in catalog.models()]
        return pb.ListModelsResponse(models=models, refused=dict(catalog.failures), unloaded=catalog.unloaded)
