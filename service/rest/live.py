"""`WS /v1/live`: a stream of frames in, a stream of answers out.

The first message is the stream's options as JSON text, or already a frame, for the defaults. After that
every binary message is a frame; a text message before it may give its id, its capture time, its raw format.
Every answer is one text message: that of `POST /v1/segment` or a problem, with the frame's id and age, and
with the events and counts of the scene where the options have one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import orjson
from fastapi import APIRouter, WebSocket
from pydantic import BaseModel, ValidationError
from starlette.websockets import WebSocketDisconnect

from service.errors import BlitzError, ImageTooLarge, InvalidOption, OutOfMemory, Unavailable, shorten
from service.events.report import report_to_json
from service.inference.documents import Json
from service.rest.formats import render_json
from service.rest.guard import admit_live, refuse_live
from service.rest.live_connection import HUNG_UP
from service.rest.parameters import FrameHeader, LiveOptions, query_to_options
from service.rest.problem import NO_MEMORY, error_to_problem, join_faults
from service.rest.scene import scene_from_json
from service.security.callers import Caller, Rules
from service.serving.engine import Engine
from service.serving.streaming import (
    Frame,
    FrameResult,
    Picture,
    RawImage,
    StreamEnds,
    StreamOptions,
    unless_stopped,
)
from service.telemetry.request_log import FrameLog, RequestRecord, choose_request_id
from service.telemetry.tracing import TRACEPARENT, TRACESTATE
from service.types import Answer, Segmentation, Size

router = APIRouter()

PATH = "/v1/live"
SUBPROTOCOL = "blitzmask.v1"  # a page offers it beside its key's, because the server has to choose one
# Closing codes of RFC 6455, section 7.4, and of IANA's registry: each tells the client what to do next.
ENDED, MEND, FAILED, RESTART, LATER = 1000, 1008, 1011, 1012, 1013
GONE = 1006
REASON_BYTES = 123
MOST_TEXT = 65_536  # characters of a text message

S = TypeVar("S", bound=BaseModel)


@router.websocket(PATH)
async def live(websocket: WebSocket) -> None:
    """One stream; the request log records its end."""
    engine: Engine = websocket.app.state.engine
    record = RequestRecord("rest", choose_request_id(websocket.headers.get("x-request-id")))
    record.about = {"method": "WS", "path": PATH}
    told = websocket.headers
    record.span = engine.tracer.begin(told.get(TRACEPARENT), told.get(TRACESTATE))
    try:
        caller = admit_live(websocket, websocket.app.state.rules)
    except BlitzError as error:
        await refuse_live(websocket, record, error)
        return record.write(engine.metrics, f"WS {PATH}")
    record.key = caller.name if caller else None
    chosen = SUBPROTOCOL if SUBPROTOCOL in websocket.scope["subprotocols"] else None
    await websocket.accept(chosen, headers=_describe_record(record))
    stream = LiveStream(websocket, engine, record, caller)
    try:
        await stream.answer()
    except WebSocketDisconnect:
        record.outcome = "gone"
    except asyncio.CancelledError:
        record.outcome = "cancelled"
        raise
    except Exception as error:
        await stream.refuse(error)
    finally:
        record.write(engine.metrics, f"WS {PATH}")


class LiveStream:
    """The frames and answers of one connection."""

    def __init__(
        self, websocket: WebSocket, engine: Engine, record: RequestRecord, caller: Caller | None
    ) -> None:
        self._websocket = websocket
        self._caller = caller
        self._rules: Rules = websocket.app.state.rules
        self._engine = engine
        self._record = record
        self._log = FrameLog(engine.metrics, record, f"WS {PATH} frame")
        self._max_body: int = websocket.app.state.bodies.most
        self._early: bytes | None = None  # a frame that came instead of the options
        self._count = 0

    async def answer(self) -> None:
        """Answer until the client says that no frame follows, or the service stops; then close.

        Raises WebSocketDisconnect when the client has gone, and BlitzError's leaves where its options are
        wrong, the service is not ready, or too many streams are open.
        """
        stopping = self._engine.stopping
        asked = await unless_stopped(self._read_options(), stopping, within_s=self._rules.first_s)
        if asked is not None:
            options, model, version = _read_stream_options(asked), asked.model or None, asked.version or None
            with self._engine.open_stream(options, model, version, render_json) as session:
                ends = StreamEnds(stopping, self._rules.idle_s, self._watch)
                await session.run(self._read, self._send, ends)
        if stopping.is_set():
            await self._websocket.close(RESTART, "the service is stopping")
        else:
            await self._websocket.close(ENDED)

    async def _watch(self) -> None:
        """Raises WebSocketDisconnect when the client hangs up while nothing is read from it."""
        hung_up: Callable[[], Awaitable[None]] | None = self._websocket.scope.get("state", {}).get(HUNG_UP)
        if hung_up is not None:
            await hung_up()
            raise WebSocketDisconnect(GONE)

    async def refuse(self, error: Exception) -> None:
        """Send the problem that ends the stream, and close it."""
        if isinstance(error, MemoryError):
            error = OutOfMemory(NO_MEMORY)
        self._record.failed(error)
        problem = error_to_problem(error, self._record.request_id)
        try:
            await self._send_json(problem)
            await self._websocket.close(_choose_code(error), _shorten(str(problem["detail"])))
        except (WebSocketDisconnect, RuntimeError):  # the client has gone
            pass

    async def _read_options(self) -> LiveOptions:
        message = await self._receive()
        if isinstance(message, bytes):
            self._early = message
            return LiveOptions()
        return _parse(LiveOptions, message)

    async def _read(self) -> Frame | None:
        """The next frame with the client's header for it; None where the client says that there is none."""
        header = FrameHeader()
        fault: BlitzError | None = None
        while isinstance(message := await self._receive(), str):
            try:
                header, fault = _parse(FrameHeader, message), None
            except InvalidOption as error:
                fault = error
            if header.end:
                return None
        number = self._count if header.frame_id is None else header.frame_id
        self._count += 1
        if fault is None and self._caller is not None:
            fault = self._caller.count()
        picture = fault or self._describe_picture(message, header)
        return Frame(number, header.capture_time_us, picture, asyncio.get_running_loop().time())

    def _describe_picture(self, data: bytes, header: FrameHeader) -> Picture:
        if len(data) > self._max_body:
            return ImageTooLarge(f"{len(data)} bytes are more than the {self._max_body} this service accepts")
        if header.raw is None:
            return data
        return RawImage(header.raw.format, Size(header.raw.height, header.raw.width), data)

    async def _receive(self) -> str | bytes:
        if self._early is not None:
            early, self._early = self._early, None
            return early
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        text: str | None = message.get("text")
        data: bytes = message.get("bytes") or b""
        return data if text is None else text

    async def _send(self, result: FrameResult) -> None:
        content: Json = {"frame_id": result.id, "age_ms": result.age_ms, "dropped": result.dropped}
        if result.captured_us is not None:
            content["capture_time_us"] = result.captured_us
        if result.report is not None:
            content |= report_to_json(result.report)
        self._log.write(result)
        outcome = result.outcome
        if isinstance(outcome, Exception):
            answer = orjson.dumps(error_to_problem(outcome, self._record.request_id))
        elif isinstance(outcome, Segmentation):
            answer = render_json(Answer(outcome, result.queue_ms))
        else:
            answer = outcome.content
        head = orjson.dumps(content).removesuffix(b"}")
        await self._websocket.send_text((head + b"," + answer.removeprefix(b"{")).decode())

    async def _send_json(self, content: Json) -> None:
        await self._websocket.send_text(orjson.dumps(content).decode())


def _describe_record(record: RequestRecord) -> list[tuple[bytes, bytes]]:
    """The headers of the handshake's answer."""
    headers = [(b"x-request-id", record.request_id.encode())]
    if record.span is not None:
        headers.append((TRACEPARENT.encode(), record.span.context.traceparent.encode()))
    return headers


def _parse(schema: type[S], text: str) -> S:
    """A text message as its schema has it; raises InvalidOption."""
    if len(text) > MOST_TEXT:
        raise InvalidOption(f"a text message has {len(text)} characters, at most {MOST_TEXT} are read")
    try:
        return schema.model_validate_json(text)
    except ValidationError as error:
        places = ((".".join(map(str, item["loc"])) or "message", item["msg"]) for item in error.errors())
        raise InvalidOption(join_faults([f"{shorten(at, 40)}: {text}" for at, text in places])) from error


def _read_stream_options(asked: LiveOptions) -> StreamOptions:
    return StreamOptions(
        segment=query_to_options(asked),
        policy=asked.policy,
        max_fps=asked.max_fps,
        track=asked.track,
        track_overlap=asked.track_overlap,
        track_memory=asked.track_memory_s,
        track_threshold=asked.track_threshold,
        scene=None if asked.scene is None else scene_from_json(asked.scene),
    )


def _choose_code(error: Exception) -> int:
    if isinstance(error, Unavailable):
        return LATER
    return MEND if isinstance(error, BlitzError) else FAILED


def _shorten(reason: str) -> str:
    """As much of a reason as fits a closing message."""
    return reason.encode()[:REASON_BYTES].decode(errors="ignore")
