"""The server's end: a stream that is opened again whenever it breaks."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from service.camera.answered import Answered
from service.camera.backoff import Backoff
from service.camera.status import Status
from service.camera.window import Window
from service.errors import BlitzError, RequestError
from service.serving.streaming import Frame, FrameResult, RawImage, StreamOptions
from service.serving.streaming.frame_slot import Clock, FrameSlot
from service.types import Instance, Segmentation

JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of the server."""

    options: StreamOptions
    model: str | None = None
    version: str | None = None


class Client(Protocol):
    """What a link needs of an `AsyncRpcClient`."""

    def stream(
        self,
        frames: AsyncIterable[Frame],
        options: StreamOptions,
        *,
        model: str | None,
        version: str | None,
    ) -> AsyncGenerator[FrameResult, None]: ...


Connect = Callable[[], AbstractAsyncContextManager[Client]]


class Link:
    """Frames out, results in. With the policy "all" what a lost server has not answered is sent again."""

    def __init__(
        self, connect: Connect, asked: Asked, *, inbox: FrameSlot, clock: Clock, status: Status
    ) -> None:
        self._connect = connect
        self._asked = asked
        self._inbox = inbox
        self._clock = clock
        self._status = status
        self._backoff = Backoff(clock)
        self._window = Window()
        self._ended = False
        self._expected = 0
        self._dropped = 0
        self._highest = 0

    async def results(self) -> AsyncGenerator[Answered, None]:
        """Until the inbox has ended and all is answered; raises RequestError when the server refuses."""
        while True:
            reason = "the server ended the stream"
            try:
                async with self._connect() as client, aclosing(self._stream(client)) as answers:
                    async for answered in answers:
                        self._backoff.reset()
                        yield answered
                if self._ended:
                    return
            except RequestError:
                raise
            except BlitzError as error:
                reason = str(error)
            delay = self._backoff.next_delay()
            self._status.tell(f"{reason}; again in {delay:.1f} s")
            await self._backoff.wait(delay)

    async def _stream(self, client: Client) -> AsyncGenerator[Answered, None]:
        """One stream; its identities begin above all that were seen before."""
        if self._asked.options.policy == "latest":
            self._window.clear()
        above = self._highest
        asked = self._asked
        stream = client.stream(self._outgoing(), asked.options, model=asked.model, version=asked.version)
        async with aclosing(stream) as results:
            async for result in results:
                frame = self._window.settle(result.id)
                if frame is not None:
                    yield Answered(frame, self._describe(result, frame, above))

    async def _outgoing(self) -> AsyncIterator[Frame]:
        """What was not answered, then what the inbox gives while few frames are under way."""
        for frame in self._window.frames:
            yield await asyncio.to_thread(encode_frame, frame)
        while await self._inbox.wait():
            await self._window.wait()
            frame = self._inbox.take()
            self._window.add(frame)
            yield await asyncio.to_thread(encode_frame, frame)
        self._ended = True

    def _describe(self, result: FrameResult, frame: Frame, above: int) -> FrameResult:
        self._dropped += frame.id - self._expected
        self._expected = frame.id + 1
        outcome = result.outcome
        if isinstance(outcome, Segmentation):
            outcome = _raise_identities(outcome, above)
            self._highest = max([self._highest, *(one.track_id or 0 for one in outcome.instances)])
        age_ms = (self._clock.now() - frame.arrived) * 1000
        return replace(result, outcome=outcome, age_ms=age_ms, dropped=self._dropped)


def encode_frame(frame: Frame) -> Frame:
    """The frame as it is sent: raw BGR pixels as a JPEG."""
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
