"""The reading half of the client: pictures of the source become frames in the slot."""

import asyncio
import itertools
import time

from service.camera.retry import Retry
from service.camera.source import Capture, Shot, Source, SourceLost
from service.errors import InvalidOption
from service.serving.streaming import Frame, Policy
from service.serving.streaming.frame_slot import Clock, FrameSlot


class Reader:
    """Reads a file to its end, and a live source for ever: it is opened again whenever it breaks off.

    policy: "latest" lets a new frame replace the one that waits; "all" reads no faster than frames are taken.
    paced: the pictures of a recording come at their recorded times, not as fast as they can be taken.
    patient: a live source that opens but gives no picture at the start is tried again, and not refused.
    The ids of the frames are 0, 1, 2, ...
    """

    def __init__(
        self,
        source: Source,
        policy: Policy,
        *,
        clock: Clock,
        retry: Retry,
        paced: bool = False,
        patient: bool = False,
    ) -> None:
        self.slot = FrameSlot(policy)
        self._source = source
        self._clock = clock
        self._retry = retry
        self._paced = paced
        self._patient = patient and source.live
        self._ids = itertools.count()

    async def run(self, capture: Capture) -> None:
        """Returns when the source has ended; `capture` is the source, already open.

        Raises InvalidOption where the source gives no picture at all.
        """
        while True:
            try:
                await self._read_all(capture)
                break
            except SourceLost as lost:
                if not self._patient:
                    raise InvalidOption(str(lost)) from lost
                capture = await self._reopen(lost)
        self.slot.end()

    async def _read_all(self, capture: Capture) -> None:
        opened = self._clock.now()
        try:
            while (shot := await asyncio.to_thread(capture.read)) is not None:
                self._patient = self._source.live
                if self._paced and shot.time is not None:
                    await self._clock.wait_until(opened + shot.time)
                await self.slot.put(self._frame(shot))
                self._retry.reset()
        finally:
            capture.close()

    async def _reopen(self, lost: SourceLost) -> Capture:
        while True:
            await self._retry.wait(str(lost))
            try:
                return await asyncio.to_thread(self._source.open)
            except SourceLost as error:
                lost = error

    def _frame(self, shot: Shot) -> Frame:
        captured = time.time() if shot.time is None else shot.time
        return Frame(next(self._ids), round(captured * 1e6), shot.picture, self._clock.now())
