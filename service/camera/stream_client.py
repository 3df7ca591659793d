"""The sending half of the client: a stream to the server, opened again whenever it breaks."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from service.camera.output import AnsweredFrame
from service.camera.source import Retry
from service.errors import BlitzError, RequestError
from service.serving.streaming import Frame, FrameResult, RawImage, StreamOptions
from service.serving.streaming.frame import Clock, FrameSlot
from service.types import Instance, Segmentation

JPEG_QUALITY = 90
IN_FLIGHT = 8  # enough for a few workers and a slow network, few enough for fresh answers


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """The options of the stream, and the model that answers; None: the server's default."""

    options: StreamOptions
    model: str | None = None
    version: str | None = None


class Client(Protocol):
    """The part of `AsyncRpcClient` that a stream uses."""

    def stream(
        self,
        frames: AsyncIterable[Frame],
        options: StreamOptions,
        *,
        model: str | None,
        version: str | None,
    ) -> AsyncGenerator[FrameResult, None]: ...


Connect = Callable[[], AbstractAsyncContextManager[Client]]


class StreamClient:
    """Sends frames and receives results.

    With the policy "all", frames that a lost server has not answered are sent again.
    """

    def __init__(
        self, connect: Connect, request: StreamRequest, *, slot: FrameSlot, clock: Clock, retry: Retry
    ) -> None:
        self._connect = connect
        self._request = request
        self._slot = slot
        self._clock = clock
        self._retry = retry
        self._in_flight = InFlight()
        self._ended = False
        self._expected = 0
        self._dropped = 0
        self._highest = 0

    @property
    def idle(self) -> bool:
        """Whether every frame that was sent is answered."""
        return not self._in_flight.frames

    async def results(self) -> AsyncGenerator[AnsweredFrame, None]:
        """Ends when the slot has ended and all is answered; raises RequestError where the server refuses."""
        while True:
            reason = "the server ended the stream"
            try:
                async with self._connect() as client, aclosing(self._stream(client)) as answers:
                    async for answered in answers:
                        self._retry.reset()
                        yield answered
                if self._ended:
                    return
            except RequestError:
                raise
            except BlitzError as error:
                reason = str(error)
            await self._retry.wait(reason)

    async def _stream(self, client: Client) -> AsyncGenerator[AnsweredFrame, None]:
        """The answers of one stream; their identities begin above all that were seen before."""
        if self._request.options.policy == "latest":
            self._in_flight.clear()
        above, request = self._highest, self._request
        stream = client.stream(
            self._outgoing(), request.options, model=request.model, version=request.version
        )
        async with aclosing(stream) as results:
            async for result in results:
                frame = self._in_flight.settle(result.id)
                if frame is not None:
                    yield AnsweredFrame(frame, self._complete(result, frame, above))

    async def _outgoing(self) -> AsyncIterator[Frame]:
        """The frames that were not answered, then those of the slot, few at a time."""
        for frame in self._in_flight.frames:
            yield await asyncio.to_thread(encode_frame, frame)
        while await self._slot.wait():
            await self._in_flight.wait()
            frame = self._slot.take()
            self._in_flight.add(frame)
            yield await asyncio.to_thread(encode_frame, frame)
        self._ended = True

    def _complete(self, result: FrameResult, frame: Frame, above: int) -> FrameResult:
        """The result, with identities, age and dropped frames as this side counts them."""
        self._dropped += frame.id - self._expected
        self._expected = frame.id + 1
        outcome = result.outcome
        if isinstance(outcome, Segmentation):
            outcome = _raise_identities(outcome, above)
            self._highest = max([self._highest, *(one.track_id or 0 for one in outcome.instances)])
        age_ms = (self._clock.now() - frame.arrived) * 1000
        return replace(result, outcome=outcome, age_ms=age_ms, dropped=self._dropped)


class InFlight:
    """The frames that were sent and are not answered yet, in their order."""

    def __init__(self) -> None:
        self._frames: dict[int, Frame] = {}
        self._room = asyncio.Event()

    @property
    def frames(self) -> tuple[Frame, ...]:
        return tuple(self._frames.values())

    async def wait(self) -> None:
        """Returns when there is room for one more frame."""
        while len(self._frames) >= IN_FLIGHT:
            self._room.clear()
            await self._room.wait()

    def add(self, frame: Frame) -> None:
        self._frames[frame.id] = frame

    def settle(self, number: int) -> Frame | None:
        """The frame of a result; earlier frames are forgotten, because results come in order."""
        frame = self._frames.get(number)
        self._frames = {later: sent for later, sent in self._frames.items() if later > number}
        self._room.set()
        return frame

    def clear(self) -> None:
        """Forget all frames."""
        self._frames.clear()
        self._room.set()


def encode_frame(frame: Frame) -> Frame:
    """The frame as it is sent: raw BGR pixels become a JPEG."""
    raw = frame.picture
    if not isinstance(raw, RawImage):
        return frame
    pixels = np.frombuffer(raw.data, np.uint8).reshape(raw.size.height, raw.size.width, 3)
    _, encoded = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    return replace(frame, picture=encoded.tobytes())


def _raise_identities(found: Segmentation, above: int) -> Segmentation:
    def named(one: Instance) -> Instance:
        return one if one.track_id is None else replace(one, track_id=one.track_id + above)

    return replace(found, instances=tuple(map(named, found.instances))) if above else found
