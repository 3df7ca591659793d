"""What is written down about every request, whichever transport it came by: one log line and its metrics."""

import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import structlog

from service.errors import BlitzError
from service.telemetry.metrics import REJECTIONS, UNAVAILABLE, Metrics, Transport
from service.telemetry.tracing import Deed, Span
from service.types import Segmentation, Timings

SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")

log = structlog.get_logger("service.telemetry.request_log")


def choose_request_id(offered: str | None) -> str:
    """The caller's id where it is a plain token, else a new one: nobody forges log lines.

    >>> choose_request_id("order-66")
    'order-66'
    >>> len(choose_request_id("two\\nlines"))
    32
    """
    return offered if offered and SAFE_ID.fullmatch(offered) else uuid.uuid4().hex


@dataclass(slots=True)
class Access:
    """One request, filled in while it is answered; `outcome` is "ok" or the error's name.

    key: the name of the key that was shown, where one was needed; never the key.
    """

    transport: Transport
    request_id: str
    outcome: str = "ok"
    key: str | None = None
    about: dict[str, object] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)
    span: Span | None = None
    stages: Mapping[str, float] = field(default_factory=dict)  # milliseconds
    told: float = 0.0  # seconds from the start to the end of the stages

    @property
    def seconds(self) -> float:
        """Since the request began."""
        return time.perf_counter() - self.started

    @property
    def ids(self) -> dict[str, str]:
        """What a log line is found by: the request's id, and its place in a trace, if it has one."""
        ids = {"request_id": self.request_id}
        if self.span is not None:
            context = self.span.context
            ids |= {"trace_id": context.trace_id, "span_id": context.span_id}
        return ids

    def found(
        self, segmentation: Segmentation, *, queue_ms: float = 0.0, render_ms: float | None = None
    ) -> None:
        """Remember which model answered, how much it found, and where the time went."""
        self.about |= {"model": segmentation.model, "instances": len(segmentation.instances)}
        self.spent(segmentation.timings, queue_ms=queue_ms, render_ms=render_ms)

    def spent(self, timings: Timings, *, queue_ms: float, render_ms: float | None) -> None:
        """Remember where the time went."""
        if self.span is not None:
            rendering = {} if render_ms is None else {"render": render_ms}
            self.stages = {"queue": queue_ms, **asdict(timings), **rendering}
            self.told = self.seconds

    def failed(self, error: Exception) -> None:
        """Remember how the request failed; log what should not have happened."""
        if isinstance(error, BlitzError):
            self.outcome = type(error).__name__
        else:
            self.outcome = "internal"
            log.error("request failed", **self.ids, exc_info=error, **self.about)

    def write(self, metrics: Metrics, method: str, *, quiet: bool = False, probe: bool = False) -> None:
        """Count the request and log it, on level debug where it is `quiet`; a `probe` is never rejected."""
        seconds = self.seconds
        metrics.request(self.transport, method, outcome=self.outcome, seconds=seconds)
        if self.outcome in REJECTIONS and not probe:
            metrics.rejected(self.outcome)
        if self.key is not None:
            self.about["key"] = self.key
            metrics.called(self.key, outcome=self.outcome)
        log.log(
            10 if quiet else 20,
            "request",
            transport=self.transport,
            **self.ids,
            outcome=self.outcome,
            ms=round(seconds * 1000, 2),
            **self.about,
        )
        if self.span is not None:
            self.span.end(self._describe(method, seconds))

    def _describe(self, method: str, seconds: float) -> Deed:
        about = {"transport": self.transport, "request_id": self.request_id, "outcome": self.outcome}
        failed = self.outcome == "internal" or self.outcome in UNAVAILABLE
        return Deed(method, about | self.about, seconds, failed, self.stages, self.told)
