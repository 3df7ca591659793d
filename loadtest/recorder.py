"""What a run wrote down, in columns: 12 bytes and 4 per stage for each request, so that hours fit."""

import math
from array import array
from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from loadtest.clients.base import OK, Answer

Seconds = npt.NDArray[np.float64]
_EXAMPLE_BYTES = 200


class Recorder:
    """Collects answers; a good one adds a latency, any other one counts by its kind."""

    def __init__(self) -> None:
        self.opened = -math.inf
        """Answers that came before are not written down; perf_counter seconds."""
        self.errors: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.sent_bytes = 0
        self.received_bytes = 0
        self._delays = array("f")
        self._finished = array("d")
        self._latencies = array("f")
        self._failed = array("d")
        self._refusals = array("f")
        self._stages: dict[str, array[float]] = {}

    def add(self, answer: Answer, *, started: float, finished: float) -> None:
        """Times are `perf_counter` seconds; `started` is when the request was due."""
        if finished < self.opened:
            return
        self.received_bytes += len(answer.body)
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
        """How much later than due a request was sent."""
        self._delays.append(seconds)

    @property
    def answered(self) -> int:
        """Good answers."""
        return len(self._finished)

    @property
    def failed(self) -> int:
        return self.errors.total()

    @property
    def finished(self) -> Seconds:
        """When each good answer came: float64 [answered], perf_counter seconds."""
        return np.array(self._finished, np.float64)

    @property
    def failed_at(self) -> Seconds:
        """When each other answer came: float64 [failed], perf_counter seconds."""
        return np.array(self._failed, np.float64)

    @property
    def milliseconds(self) -> Seconds:
        """Latency of each good answer: float64 [answered]."""
        return np.array(self._latencies, np.float64) * 1e3

    @property
    def refusal_milliseconds(self) -> Seconds:
        """How long each other answer took: float64 [failed]."""
        return np.array(self._refusals, np.float64) * 1e3

    @property
    def delays(self) -> Seconds:
        """Milliseconds that each request was sent late: float64 [sent], empty in a closed loop."""
        return np.array(self._delays, np.float64) * 1e3

    @property
    def stages(self) -> Mapping[str, Seconds]:
        """Milliseconds in each stage of the server: float64 [at most answered]."""
        return {name: np.array(column, np.float64) for name, column in self._stages.items()}
