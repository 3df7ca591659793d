"""The pauses between attempts to reach a camera, a server or a broker."""

import random
from collections.abc import Callable

from service.serving.streaming.frame_slot import Clock

FIRST_S, LONGEST_S = 0.25, 5.0


class Retry:
    """Waits 0.25 s after the first failure and twice as long after each further one, up to 5 s.

    Chance shortens each pause by up to a half, so that the cameras of a server that restarts do not all come
    back at the same moment. `report` receives one line before each pause.
    """

    def __init__(self, clock: Clock, report: Callable[[str], None]) -> None:
        self._clock = clock
        self._report = report
        self._delay = FIRST_S
        self.failing = False

    async def wait(self, reason: str) -> None:
        """Report the reason, then pause."""
        self.failing = True
        delay = self._delay * random.uniform(0.5, 1)
        self._delay = min(2 * self._delay, LONGEST_S)
        self._report(f"{reason}; trying again in {delay:.1f} s")
        await self._clock.wait_until(self._clock.now() + delay)

    def reset(self) -> None:
        """Note that the last attempt worked: the next pause is the shortest again."""
        self.failing = False
        self._delay = FIRST_S
