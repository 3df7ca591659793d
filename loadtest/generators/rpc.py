"""gRPC clients, each with its own HTTP/2 connection: one for single calls, one for a camera's stream."""

import asyncio
import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import grpc
import grpc.aio

from loadtest.generators.oip import METHOD, pack_message, read_message
from loadtest.generators.recorder import Recorder, Window
from loadtest.types import OK, Answer, Ask, CannotRun, Photo, Target, to_message
from service.rpc.generated import segmentation_pb2 as messages

_SERVICE = "/blitzmask.v1.SegmentationService"
_METHODS = {"native": f"{_SERVICE}/Segment", "oip": METHOD}
_CHANNEL: Sequence[tuple[str, int]] = (
    # Channels to one address share a connection by default, and a server with several processes would then
    # see all clients in one of them.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
)
_POLICY = "FRAME_POLICY_"
_DRAIN_S = 5.0  # for the results of the last frames
_MICRO = 1e6

Call: TypeAlias = "grpc.aio.StreamStreamCall[bytes, messages.FrameResult]"


def open_channel(target: Target) -> grpc.aio.Channel:
    """A channel that shares its connection with no other."""
    if target.secure:
        credentials = target.credentials.open_channel()
        return grpc.aio.secure_channel(target.authority, credentials, options=_CHANNEL)
    return grpc.aio.insecure_channel(target.authority, options=_CHANNEL)


def read_metadata(target: Target) -> tuple[tuple[str, str], ...]:
    """The API key as the metadata of a call."""
    return tuple(target.credentials.headers().items())


async def list_models(target: Target) -> list[str]:
    """The names that the server's `ListModels` gives; raises AioRpcError."""
    async with open_channel(target) as channel:
        call = channel.unary_unary(
            f"{_SERVICE}/ListModels",
            request_serializer=messages.ListModelsRequest.SerializeToString,
            response_deserializer=messages.ListModelsResponse.FromString,
        )
        request = messages.ListModelsRequest()
        listed = await call(request, timeout=target.timeout, metadata=read_metadata(target))
    return [model.name for model in listed.models]


class RpcClient:
    """Calls `Segment` or `ModelInfer`; the body of an answer is the serialised response."""

    def __init__(self, target: Target) -> None:
        self._channel = open_channel(target)
        self._call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(
            _METHODS[target.protocol]
        )
        self._target = target
        self._pack = {"native": pack_native, "oip": pack_oip}[target.protocol]
        self._metadata = read_metadata(target)

    async def send(self, photo: Photo) -> Answer:
        request = self._pack(self._target.ask, photo)
        try:
            body = await self._call(request, timeout=self._target.timeout, metadata=self._metadata)
            stages = self._read_stages(body)
        except grpc.aio.AioRpcError as error:
            return Answer(error.code().name, (error.details() or "").encode())
        except asyncio.CancelledError:
            raise
        except Exception as error:  # protobuf has one exception type per implementation
            return Answer("not a response", str(error).encode())
        return Answer(OK, body, stages)

    async def close(self) -> None:
        await self._channel.close(None)

    def _read_stages(self, body: bytes) -> dict[str, float]:
        """Milliseconds by stage; raises when the body is no response."""
        if self._target.protocol == "oip":
            read_message(body)
            return {}
        return read_timings(messages.SegmentResponse.FromString(body))


@lru_cache(maxsize=64)  # a load repeats a few photos: each is serialised once
def pack_native(ask: Ask, photo: Photo) -> bytes:
    """A serialised `SegmentRequest`."""
    return messages.SegmentRequest(image=photo.data, options=to_message(ask)).SerializeToString()


@lru_cache(maxsize=64)
def pack_oip(ask: Ask, photo: Photo) -> bytes:
    """A serialised `ModelInferRequest`."""
    return pack_message(ask, photo).SerializeToString()


@lru_cache(maxsize=64)
def pack_image(photo: Photo) -> bytes:
    """A serialised `Frame` that has only the image."""
    return messages.Frame(image=photo.data).SerializeToString()


def read_timings(response: messages.SegmentResponse) -> dict[str, float]:
    """Milliseconds by stage; empty when the server sent none."""
    if not response.HasField("timings_ms"):
        return {}
    timings = response.timings_ms
    return {field.name: getattr(timings, field.name) for field in timings.DESCRIPTOR.fields}


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """Counts of one camera: results, frames that the server dropped, frames that the camera skipped."""

    answered: int = 0
    dropped: int = 0
    skipped: int = 0

    def __add__(self, other: "StreamFigures") -> "StreamFigures":
        return StreamFigures(
            self.answered + other.answered, self.dropped + other.dropped, self.skipped + other.skipped
        )


def read_policy(name: str) -> str:
    """The enum name of a frame policy; raises CannotRun when the protocol does not have it."""
    policies = messages.FramePolicy.keys()[1:]
    policy = f"{_POLICY}{name.upper()}"
    if policy not in policies:
        known = ", ".join(known.removeprefix(_POLICY).lower() for known in policies)
        raise CannotRun(f"there is no frame policy {name!r}, only {known}")
    return policy


class StreamClient:
    """Sends photos in turn at a camera's rate, and skips a frame that it cannot send in time.

    Without a rate it sends as fast as the server reads.
    """

    def __init__(self, target: Target, options: messages.StreamOptions, *, fps: float | None) -> None:
        self._channel = open_channel(target)
        self._metadata = read_metadata(target)
        self._stream: grpc.aio.StreamStreamMultiCallable[bytes, messages.FrameResult] = (
            self._channel.stream_stream(
                f"{_SERVICE}/SegmentStream",
                response_deserializer=messages.FrameResult.FromString,
            )
        )
        self._options = options
        self._fps = fps
        self._next_frame = -math.inf
        self._answered = self._dropped = self._dropped_early = self._skipped = 0

    async def run(self, photos: Sequence[Photo], *, window: Window, recorder: Recorder) -> StreamFigures:
        """The counts of a stream that lasts until the window closes; faults are counted, never raised.

        Ages count from the time at which a frame was due.
        """
        call = self._stream(metadata=self._metadata)
        reading = asyncio.create_task(self._read(call, recorder))
        try:
            await self._write(call, photos, window)
            await asyncio.wait_for(reading, _DRAIN_S)
        except TimeoutError:
            _count(recorder, "no end", f"the stream did not end within {_DRAIN_S:g} s of its last frame")
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
                options = self._options if number == 0 else None
                frame = messages.Frame(frame_id=number, capture_time_us=int(due * _MICRO), options=options)
                # Serialised messages that follow each other are one message: the image is serialised once.
                await call.write(frame.SerializeToString() + pack_image(photos[number % len(photos)]))
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass  # the stream broke; the reader sees that and counts it

    async def _wait_for_frame(self, window: Window) -> float:
        """The time at which the next frame is due; frames that were due during the last write are skipped."""
        now = time.perf_counter()
        if self._fps is None:
            return now
        passed = math.ceil((now - window.opened) * self._fps)
        frame = max(passed, self._next_frame)  # a sleep may end early: the frame before it is not due again
        self._skipped += int(max(0, frame - max(0, self._next_frame)))  # frames of the lead do not count
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
    """The answer in a frame's result."""
    if result.HasField("error"):
        return Answer(f"frame error {result.error.code}", result.error.message.encode())
    return Answer(OK, b"", read_timings(result.response))


def _count(recorder: Recorder, kind: str, reason: str) -> None:
    now = time.perf_counter()
    recorder.add(Answer(kind, reason.encode()), started=now, finished=now)
