"""Calls an event loop back at given times, to within a fraction of a millisecond.

Event loops keep timers in whole milliseconds; a thread that sleeps is woken ten times more exactly.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

_LAG = 0.0001  # seconds; what is due so soon is handed over together


class Pacer:
    """Hands out `due` times (perf_counter seconds) as they come, then says that it is done."""

    def __init__(self, due: Sequence[float], hand_out: Callable[[float], None]) -> None:
        self.done = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._due = due
        self._hand_out = hand_out
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._pace, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No more of them; returns once the thread has ended."""
        self._stopped.set()
        self._thread.join()

    def _pace(self) -> None:
        for due in self._due:
            wait = due - time.perf_counter()
            if wait > _LAG and self._stopped.wait(wait):
                break
            if self._stopped.is_set():
                break
            self._loop.call_soon_threadsafe(self._hand_out, due)
        self._loop.call_soon_threadsafe(self.done.set)
