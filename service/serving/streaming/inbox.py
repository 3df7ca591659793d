"""The one place where a frame waits for a slot."""

import asyncio
import threading

from service.frames import Policy
from service.serving.streaming.frame import Frame


class Inbox:
    """Filled by one reader in the event loop, emptied by one taker at a time, on any thread."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._lock = threading.Lock()  # around the frame
        self._frame: Frame | None = None
        self._ended = False
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self.dropped = 0

    async def put(self, frame: Frame) -> None:
        """Let a frame wait: in place of the one that does, or, where all are answered, once that is taken."""
        if self._policy == "all":
            while self._frame is not None:
                self._emptied.clear()
                await self._emptied.wait()
        with self._lock:
            self.dropped += self._frame is not None
            self._frame = frame
        self._filled.set()

    def end(self) -> None:
        """No frame will follow."""
        self._ended = True
        self._filled.set()

    async def wait(self) -> bool:
        """Whether a frame is there, once there is one or there can be none any more."""
        await self._filled.wait()
        return self._frame is not None

    def take(self) -> Frame:
        """The newest frame, in the loop; only after `wait` found one."""
        frame = self.pick()
        self.picked()
        return frame

    def pick(self) -> Frame:
        """The newest frame, on any thread; only after `wait` found one, and `picked` has to follow."""
        with self._lock:
            frame, self._frame = self._frame, None
        assert frame is not None
        return frame

    def picked(self) -> None:
        """Go on, in the loop, after `pick`."""
        if self._frame is None and not self._ended:
            self._filled.clear()
        self._emptied.set()
