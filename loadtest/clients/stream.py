"""One camera: frames at its own rate up a gRPC stream, results down again."""

import asyncio
import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import grpc.aio
from google.protobuf.message import Message

from loadtest.clients.base import OK, Answer, Photo
from loadtest.clients.rpc import open_channel, read_metadata, read_timings
from loadtest.errors import CannotRun
from loadtest.recorder import Recorder
from loadtest.targets import Target
from loadtest.window import Window
from service.rpc.generated import segmentation_pb2 as messages

_METHOD = "/blitzmask.v1.SegmentationService/SegmentStream"
_POLICY = "FRAME_POLICY_"
_DRAIN = 5.0  # seconds for the results of the last frames
_MICRO = 1e6

Call: TypeAlias = "grpc.aio.StreamStreamCall[Message, messages.FrameResult]"


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """Of one camera: results, frames that the server dropped, and frames it was too late to send."""

    answered: int = 0
    dropped: int = 0
    skipped: int = 0

    def __add__(self, other: "StreamFigures") -> "StreamFigures":
        return StreamFigures(
            self.answered + other.answered, self.dropped + other.dropped, self.skipped + other.skipped
        )


def read_policy(name: str) -> str:
    """The protocol's name of a policy; raises CannotRun when it has none such."""
    policies = messages.FramePolicy.keys()[1:]
    policy = f"{_POLICY}{name.upper()}"
    if policy not in policies:
        known = ", ".join(known.removeprefix(_POLICY).lower() for known in policies)
        raise CannotRun(f"there is no frame policy {name!r}, only {known}")
    return policy


class StreamClient:
    """Sends photos in turn as a camera would: a frame that cannot be sent in time is skipped.

    Without a rate it sends as fast as the server reads.
    """

    def __init__(self, target: Target, options: messages.StreamOptions, *, fps: float | None) -> None:
        self._channel = open_channel(target)
        self._metadata = read_metadata(target)
        self._stream = self._channel.stream_stream(
            _METHOD,
            request_serializer=messages.Frame.SerializeToString,
            response_deserializer=messages.FrameResult.FromString,
        )
        self._options = options
        self._fps = fps
        self._next_frame = -math.inf
        self._answered = self._dropped = self._dropped_early = self._skipped = 0

    async def run(self, photos: Sequence[Photo], *, window: Window, recorder: Recorder) -> StreamFigures:
        """Until the window closes; ages count from when a frame was due. Faults are counted, never raised."""
        call = self._stream(metadata=self._metadata)
        reading = asyncio.create_task(self._read(call, recorder))
        try:
            await self._write(call, photos, window)
            await asyncio.wait_for(reading, _DRAIN)
        except TimeoutError:
            _count(recorder, "no end", f"the stream did not end within {_DRAIN:g} s of its last frame")
        finally:
            reading.cancel()
            call.cancel()
        return StreamFigures(self._answered, self._dropped - self._dropped_early, self._skipped)

    async def close(self) -> None:
        await self._channel.close(None)

    async def _write(self, call: Call, photos: Sequence[Photo], window: Window) -> None:
        try:
            for number in itertools.count():
                due = await self._wait_for_frame(window)
                if not window.take():
                    break
                photo = photos[number % len(photos)]
                options = self._options if number == 0 else None
                await call.write(
                    messages.Frame(
                        frame_id=number, capture_time_us=int(due * _MICRO), image=photo.data, options=options
                    )
                )
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass  # the stream broke, which the reader sees and counts

    async def _wait_for_frame(self, window: Window) -> float:
        """When the next frame is due; those due while the last one was being written are skipped."""
        now = time.perf_counter()
        if self._fps is None:
            return now
        passed = math.ceil((now - window.opened) * self._fps)
        frame = max(passed, self._next_frame)  # a sleep may end early: what it waited for is not due again
        self._skipped += int(max(0, frame - max(0, self._next_frame)))  # those of the lead do not count
        self._next_frame = frame + 1
        due = window.opened + frame / self._fps
        await asyncio.sleep(due - now)
        return due

    async def _read(self, call: Call, recorder: Recorder) -> None:
        try:
            async for result in call:
                finished = time.perf_counter()
                self._dropped = result.dropped
                if finished < recorder.opened:
                    self._dropped_early = result.dropped
                    continue
                self._answered += result.HasField("response")
                started = result.capture_time_us / _MICRO
                recorder.add(result_to_answer(result), started=started, finished=finished)
        except grpc.aio.AioRpcError as error:
            _count(recorder, error.code().name, error.details() or "")


def result_to_answer(result: messages.FrameResult) -> Answer:
    """A frame's result as the answer to a photo."""
    if result.HasField("error"):
        return Answer(f"frame error {result.error.code}", result.error.message.encode())
    return Answer(OK, b"", read_timings(result.response))


def _count(recorder: Recorder, kind: str, reason: str) -> None:
    now = time.perf_counter()
    recorder.add(Answer(kind, reason.encode()), started=now, finished=now)
