"""The record of every request and of every frame of a stream: one log line, its metrics, its span."""

import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import structlog

from service.errors import BlitzError
from service.frames import FrameResult, Rendered
from service.telemetry.metrics import REJECTIONS, UNAVAILABLE, Metrics, Transport
from service.telemetry.tracing import Span, SpanData
from service.types import Answer, Segmentation, Summary, Timings

SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
DEBUG, INFO = 10, 20

log = structlog.get_logger("service.telemetry.request_log")


def choose_request_id(offered: str | None) -> str:
    """The caller's id if it is a plain token, otherwise a new one, since other texts could forge log lines.

    >>> choose_request_id("order-66")
    'order-66'
    >>> len(choose_request_id("two\\nlines"))
    32
    """
    return offered if offered and SAFE_ID.fullmatch(offered) else uuid.uuid4().hex


@dataclass(slots=True)
class RequestRecord:
    """One request, filled in while it is answered; `outcome` is "ok" or the error's name.

    key: the name of the key that was shown, never the key itself; None where none is needed.
    about: further fields of the log line. started: in seconds of `time.perf_counter`.
    stages_ms, stages_end_s: the times of the stages, and the end of the last one after the start; for spans.
    """

    transport: Transport
    request_id: str
    outcome: str = "ok"
    key: str | None = None
    about: dict[str, object] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)
    span: Span | None = None
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    stages_end_s: float = 0.0

    @property
    def seconds(self) -> float:
        """The time since the request began."""
        return time.perf_counter() - self.started

    @property
    def ids(self) -> dict[str, str]:
        """The ids by which a log line is found: the request's own, and those of its trace if it has one."""
        ids = {"request_id": self.request_id}
        if self.span is not None:
            context = self.span.context
            ids |= {"trace_id": context.trace_id, "span_id": context.span_id}
        return ids

    def found(self, found: Summary, *, rendered: bool = True) -> None:
        """Note the model that answered, how many instances it found, and the time of each stage.

        rendered: the time to write the answer is known.
        """
        self.about |= {"model": found.model, "instances": found.instances}
        render_ms = found.render_ms if rendered else None
        self.spent(found.timings, queue_ms=found.queue_ms, render_ms=render_ms)

    def spent(self, timings: Timings, *, queue_ms: float, render_ms: float | None) -> None:
        """Note the time of each stage."""
        if self.span is not None:
            rendering = {} if render_ms is None else {"render": render_ms}
            self.stages_ms = {"queue": queue_ms, **asdict(timings), **rendering}
            self.stages_end_s = self.seconds

    def failed(self, error: Exception) -> None:
        """Note the error of the answer; log it if it is a fault of the service itself."""
        if isinstance(error, BlitzError):
            self.outcome = type(error).__name__
        else:
            self.outcome = "internal"
            log.error("request failed", **self.ids, exc_info=error, **self.about)

    def write(self, metrics: Metrics, method: str, *, quiet: bool = False, probe: bool = False) -> None:
        """Count the request and log it, on level debug where it is `quiet`.

        `probe`: a health check, whose refusal does not count as a rejection.
        """
        seconds = self.seconds
        metrics.request(self.transport, method, outcome=self.outcome, seconds=seconds)
        if self.outcome in REJECTIONS and not probe:
            metrics.rejected(self.outcome)
        if self.key is not None:
            self.about["key"] = self.key
            metrics.called(self.key, outcome=self.outcome)
        log.log(
            DEBUG if quiet else INFO,
            "request",
            transport=self.transport,
            **self.ids,
            outcome=self.outcome,
            ms=round(seconds * 1000, 2),
            **self.about,
        )
        if self.span is not None:
            self.span.end(self._describe(method, seconds))

    def _describe(self, method: str, seconds: float) -> SpanData:
        about = {"transport": self.transport, "request_id": self.request_id, "outcome": self.outcome}
        failed = self.outcome == "internal" or self.outcome in UNAVAILABLE
        return SpanData(method, about | self.about, seconds, failed, self.stages_ms, self.stages_end_s)


class FrameLog:
    """Counts and logs the frames of one stream; the metrics name them by `method`.

    `stream` is the record of the stream itself, which takes the numbers of its frames.
    """

    def __init__(self, metrics: Metrics, stream: RequestRecord, method: str) -> None:
        self._metrics = metrics
        self._stream = stream
        self._method = method
        self._frames = self._dropped = 0

    def write(self, result: FrameResult) -> None:
        """Count one result, and log it on level debug."""
        about: dict[str, object] = {"method": self._method, "frame_id": result.id}
        started = time.perf_counter() - result.age_ms / 1000
        stream = self._stream
        record = RequestRecord(
            stream.transport, stream.request_id, key=stream.key, about=about, started=started
        )
        if isinstance(outcome := result.outcome, Exception):
            record.failed(outcome)
        else:
            found = _summarise(outcome, result.queue_ms)
            record.found(found, rendered=False)
            self._metrics.answered(found, rendered=False)
        record.write(self._metrics, self._method, quiet=True)
        self._metrics.dropped(stream.transport, result.dropped - self._dropped)
        self._frames, self._dropped = self._frames + 1, result.dropped
        stream.about |= {"frames": self._frames, "dropped": self._dropped}


def _summarise(outcome: Segmentation | Rendered, queue_ms: float) -> Summary:
    return outcome.summary if isinstance(outcome, Rendered) else Answer(outcome, queue_ms).summary()
