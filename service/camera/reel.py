"""The source's end: frames into one waiting place."""

import asyncio
import itertools
import time

from service.camera.backoff import Backoff
from service.camera.source import Capture, Shot, Source, SourceLost
from service.camera.status import Status
from service.serving.streaming import Frame, Policy
from service.serving.streaming.frame_slot import Clock, FrameSlot


class Reel:
    """Reads a source to its end; a live one has none, and is opened again whenever it breaks off.

    With the policy "latest", frames are taken at the times of the recording, and one that still waits gives
    way to the next; with "all", they are taken as fast as they are answered. Their ids are 0, 1, ...
    """

    def __init__(self, source: Source, policy: Policy, *, clock: Clock, status: Status) -> None:
        self.inbox = FrameSlot(policy)
        self._source = source
        self._paced = policy == "latest"
        self._clock = clock
        self._status = status
        self._backoff = Backoff(clock)
        self._ids = itertools.count()

    async def run(self, capture: Capture) -> None:
        """Until the source has ended; `capture` is the source, opened for the first time."""
        while True:
            try:
                await self._read_all(capture)
                break
            except SourceLost as lost:
                capture = await self._reopen(lost)
        self.inbox.end()

    async def _read_all(self, capture: Capture) -> None:
        opened = self._clock.now()
        try:
            while (shot := await asyncio.to_thread(capture.read)) is not None:
                if self._paced and shot.time is not None:
                    await self._clock.wait_until(opened + shot.time)
                await self.inbox.put(self._frame(shot))
                self._backoff.reset()
        finally:
            capture.close()

    async def _reopen(self, lost: SourceLost) -> Capture:
        while True:
            delay = self._backoff.next_delay()
            self._status.tell(f"{lost}; again in {delay:.1f} s")
            await self._backoff.wait(delay)
            try:
                return await asyncio.to_thread(self._source.open)
            except SourceLost as error:
                lost = error

    def _frame(self, shot: Shot) -> Frame:
        captured = time.time() if shot.time is None else shot.time
        return Frame(next(self._ids), round(captured * 1e6), shot.picture, self._clock.now())
