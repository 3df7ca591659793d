"""How long a load may last and how many requests it may send."""

import asyncio
import math
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a run that was measured: when it began, perf_counter seconds, and how long it was."""

    opened: float
    seconds: float

    @property
    def closed(self) -> float:
        return self.opened + self.seconds


class Window:
    """Open for `seconds`, for so many requests, or until stopped, whichever is first.

    It counts from when it is made, or from `lead` seconds later: what is sent before that fills the server.
    """

    def __init__(
        self, seconds: float, *, lead: float = 0.0, requests: float = math.inf, stop: asyncio.Event
    ) -> None:
        self.opened = time.perf_counter() + lead
        self.seconds = seconds
        self.closes = self.opened + seconds
        self.sent = 0
        self._requests = requests
        self._stop = stop

    @property
    def is_open(self) -> bool:
        return self.sent < self._requests and time.perf_counter() < self.closes and not self._stop.is_set()

    @property
    def spent(self) -> float:
        """How much of its time or of its requests is gone, whichever is more; 1 where it is closed."""
        if not self.is_open:
            return 1.0
        return max((time.perf_counter() - self.opened) / self.seconds, self.sent / self._requests)

    def take(self) -> bool:
        """Leave to send one more request."""
        if not self.is_open:
            return False
        self.sent += 1
        return True
