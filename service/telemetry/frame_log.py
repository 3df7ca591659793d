"""What is written down about the frames of a stream, whichever transport they came by."""

import time

from service.serving.streaming import FrameResult
from service.telemetry.metrics import Metrics
from service.telemetry.request_log import Access
from service.types import Segmentation


class FrameLog:
    """Counts the results of one stream, whose own record is `stream`; metrics know its frames as `method`."""

    def __init__(self, metrics: Metrics, stream: Access, method: str) -> None:
        self._metrics = metrics
        self._stream = stream
        self._method = method
        self._frames = self._dropped = 0

    def write(self, result: FrameResult) -> None:
        """Count one result, and log it on level debug."""
        about: dict[str, object] = {"method": self._method, "frame_id": result.id}
        started = time.perf_counter() - result.age_ms / 1000
        stream = self._stream
        access = Access(stream.transport, stream.request_id, key=stream.key, about=about, started=started)
        if isinstance(result.outcome, Segmentation):
            access.found(result.outcome)
            self._metrics.answered(result.outcome, queue_ms=result.queue_ms)
        else:
            access.failed(result.outcome)
        access.write(self._metrics, self._method, quiet=True)
        self._metrics.dropped(self._stream.transport, result.dropped - self._dropped)
        self._frames, self._dropped = self._frames + 1, result.dropped
        self._stream.about |= {"frames": self._frames, "dropped": self._dropped}
