"""Waiting longer after each failure."""

import random

from service.serving.streaming.frame_slot import Clock

FIRST_S, LONGEST_S = 0.25, 5.0


class Backoff:
    """0.25 s after the first failure, twice as long after each further one, up to 5 s.

    Up to half of it is left to chance: the cameras of a server that restarts should not all come at once.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._delay = FIRST_S

    def next_delay(self) -> float:
        """Seconds to wait this time."""
        delay = self._delay * random.uniform(0.5, 1)
        self._delay = min(2 * self._delay, LONGEST_S)
        return delay

    def reset(self) -> None:
        """It works again."""
        self._delay = FIRST_S

    async def wait(self, delay: float) -> None:
        """Until so many seconds have passed."""
        await self._clock.wait_until(self._clock.now() + delay)
