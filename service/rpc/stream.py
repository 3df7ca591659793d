"""SegmentStream: one call, answered by a session."""

import asyncio
from dataclasses import replace

from service.errors import NotReady
from service.rpc.boundary import CALLER, Context, begin_answer
from service.rpc.frames import frame_from_proto, result_to_proto, stream_options_from_proto
from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.registry import check_read
from service.rpc.sizes import MAX_MESSAGE
from service.security.rules import Rules
from service.serving.engine import Engine
from service.serving.streaming import Frame, FrameResult, read_frames, unless_stopped
from service.telemetry.frame_log import FrameLog
from service.telemetry.request_log import Access

FRAME = "SegmentStream/frame"


class FrameStream:
    """One call of SegmentStream; its first message may configure it."""

    def __init__(
        self, engine: Engine, context: Context, *, access: Access, rules: Rules, max_message: int
    ) -> None:
        self._engine = engine
        self._rules = rules
        self._max_message = max_message
        self._caller = CALLER.get()
        self._context = context
        self._log = FrameLog(engine.metrics, access, FRAME)
        self._first: pb.Frame | None = None

    async def answer(self) -> None:
        """Answer until the client has no more frames.

        Raises InvalidOption, ModelNotFound, NotReady or Overloaded where the stream cannot begin, NotReady
        once the service stops.
        """
        stopping = self._engine.stopping
        self._first = await unless_stopped(self._receive(), stopping, within_s=self._rules.first_s)
        if self._first is not None:
            asked = self._first.options
            options = stream_options_from_proto(asked)
            model, version = asked.segment.model or None, asked.segment.version or None
            with self._engine.open_stream(options, model, version) as session:
                await begin_answer(self._context, (MAX_MESSAGE, str(self._max_message)))
                frames = read_frames(self._read, stopping, within_s=self._rules.idle_s)
                await session.run(frames, self._send)
        if stopping.is_set():
            raise NotReady("the service is stopping; all frames read so far are answered")

    async def _read(self) -> Frame | None:
        """The next frame, None at the end; a first message without content was only there to configure."""
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
        await self._context.write(result_to_proto(result))
