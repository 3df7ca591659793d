"""No more than so many frames in a second."""

import asyncio
from typing import Protocol


class Clock(Protocol):
    """Seconds that only go forward, and waiting for them."""

    def now(self) -> float: ...
    async def wait_until(self, time: float) -> None: ...


class LoopClock:
    """The event loop's own."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def wait_until(self, time: float) -> None:
        await asyncio.sleep(time - self.now())


class Pace:
    """Turns that begin 1 / max_fps seconds apart; one that is a little late does not delay the next."""

    def __init__(self, max_fps: float | None, clock: Clock) -> None:
        self._period = 1 / max_fps if max_fps else 0.0
        self._clock = clock
        self._due = float("-inf")

    async def wait(self) -> None:
        """Until the next turn may begin."""
        if self._due > self._clock.now():
            await self._clock.wait_until(self._due)

    def begin(self) -> None:
        """The turn begins."""
        now = self._clock.now()
        late = now - self._due
        self._due = now + self._period - (late if late < self._period else 0)
