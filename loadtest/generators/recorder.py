"""A load's limits and its record: when it may send, and what came back, in columns.

A request takes 12 bytes and 4 per stage, so that a run of hours fits into memory.
"""

import asyncio
import math
import time
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadtest.types import OK, Answer

Seconds = npt.NDArray[np.float64]
_EXAMPLE_BYTES = 1000


@dataclass(frozen=True, slots=True)
class Span:
    """A measured part of a run: its start in perf_counter seconds, and its length."""

    opened: float
    seconds: float

    @property
    def closed(self) -> float:
        return self.opened + self.seconds


class Window:
    """Lets requests go for `seconds`, up to `requests` of them, and until `stop` is set, whichever is first.

    Time counts from its creation, or from `lead` seconds later; requests before that only fill the server.
    `counted` is the number of requests after the lead.
    """

    def __init__(
        self, seconds: float, *, lead: float = 0.0, requests: float = math.inf, stop: asyncio.Event
    ) -> None:
        self.opened = time.perf_counter() + lead
        self.seconds = seconds
        self.closes = self.opened + seconds
        self.sent = self.counted = 0
        self._requests = requests
        self._stop = stop

    @property
    def is_open(self) -> bool:
        return self.sent < self._requests and time.perf_counter() < self.closes and not self._stop.is_set()

    @property
    def spent(self) -> float:
        """The used fraction of its time or of its requests, whichever is more; 1 when it is closed."""
        if not self.is_open:
            return 1.0
        return max((time.perf_counter() - self.opened) / self.seconds, self.sent / self._requests)

    def take(self) -> bool:
        """True, and one request more, while the window is open."""
        if not self.is_open:
            return False
        self.sent += 1
        self.counted += time.perf_counter() >= self.opened
        return True


class Recorder:
    """Collects answers: the latency of each good one, the number of the others by kind."""

    def __init__(self) -> None:
        self.opened = -math.inf
        """Answers from before this time, in perf_counter seconds, are left out."""
        self.errors: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self._delays = array("f")
        self._finished = array("d")
        self._latencies = array("f")
        self._failed = array("d")
        self._refusals = array("f")
        self._stages: dict[str, array[float]] = {}

    def add(self, answer: Answer, *, started: float, finished: float) -> None:
        """Adds an answer; times are perf_counter seconds, and the request was due at `started`."""
        if finished < self.opened:
            return
        if answer.kind != OK:
            self.errors[answer.kind] += 1
            self.examples.setdefault(answer.kind, answer.body[:_EXAMPLE_BYTES].decode(errors="replace"))
            self._failed.append(finished)
            self._refusals.append(finished - started)
            return
        self._finished.append(finished)
        self._latencies.append(finished - started)
        for stage, milliseconds in answer.stages.items():
            self._stages.setdefault(stage, array("f")).append(milliseconds)

    def note_delay(self, seconds: float) -> None:
        """Adds the delay of a request: the time between due and sent."""
        self._delays.append(seconds)

    @property
    def answered(self) -> int:
        """The number of good answers."""
        return len(self._finished)

    @property
    def failed(self) -> int:
        return self.errors.total()

    @property
    def finished(self) -> Seconds:
        """The time of each good answer: float64 [answered], perf_counter seconds."""
        return np.array(self._finished, np.float64)

    @property
    def failed_at(self) -> Seconds:
        """The time of each other answer: float64 [failed], perf_counter seconds."""
        return np.array(self._failed, np.float64)

    @property
    def milliseconds(self) -> Seconds:
        """Latency of each good answer: float64 [answered]."""
        return np.array(self._latencies, np.float64) * 1e3

    @property
    def refusal_milliseconds(self) -> Seconds:
        """Latency of each other answer: float64 [failed]."""
        return np.array(self._refusals, np.float64) * 1e3

    @property
    def delays(self) -> Seconds:
        """Milliseconds between due and sent: float64 [sent], empty in a closed loop."""
        return np.array(self._delays, np.float64) * 1e3

    @property
    def stages(self) -> Mapping[str, Seconds]:
        """Milliseconds in each stage of the server: float64 [at most answered]."""
        return {name: np.array(column, np.float64) for name, column in self._stages.items()}
