"""W3C trace context: which trace a request belongs to, as its caller said, and as the answer says it again.

Without OpenTelemetry the service only takes part: whoever brings a trace finds its ids in the answer and the
log. With BLITZ_OTEL it also records spans, see `spans`.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from service.errors import InvalidSetting

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"

_FORM = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STATE_LENGTH = 512  # characters that have to be passed on, at least


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace: its ids in lower-case hexadecimals, 32 and 16 of them; bit 0 of flags: sampled."""

    trace_id: str
    span_id: str
    flags: int = 0
    state: str = ""

    @property
    def traceparent(self) -> str:
        """The header that says it.

        >>> TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1).traceparent
        '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
        """
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


@dataclass(frozen=True, slots=True)
class Deed:
    """What a span tells of a request that has ended.

    seconds: how long it took. stages: milliseconds one after the other, the last of them over `told` seconds
    after the begin; none where nothing was computed.
    """

    name: str
    attributes: Mapping[str, object]
    seconds: float
    failed: bool
    stages: Mapping[str, float]
    told: float = 0.0


class Span(Protocol):
    """The part of a trace that one request is."""

    @property
    def context(self) -> TraceContext: ...
    def end(self, deed: Deed) -> None:
        """Tell who records it."""
        ...


class Tracer(Protocol):
    """Begins the span of every request; None where nobody wants to know."""

    def begin(self, traceparent: str | None, tracestate: str | None) -> Span | None: ...
    def close(self) -> None:
        """Hand over what is recorded; may take seconds."""
        ...


@dataclass(frozen=True, slots=True)
class PassingSpan:
    """Has ids, and nobody records it."""

    context: TraceContext

    def end(self, deed: Deed) -> None:
        pass


class PassingTracer:
    """Without OpenTelemetry: takes part in the traces of others."""

    def begin(self, traceparent: str | None, tracestate: str | None) -> Span | None:
        parent = read_context(traceparent, tracestate)
        if parent is None:
            return None
        return PassingSpan(TraceContext(parent.trace_id, secrets.token_hex(8), parent.flags, parent.state))

    def close(self) -> None:
        pass


PASSING: Tracer = PassingTracer()


def read_context(traceparent: str | None, tracestate: str | None) -> TraceContext | None:
    """The caller's place in its trace; None where there is none, or none that the standard would take.

    >>> read_context("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None).flags
    1
    >>> read_context("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None)
    """
    found = _FORM.fullmatch(traceparent) if traceparent else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "00" and more is not None:
        return None
    state = tracestate or ""
    return TraceContext(trace_id, span_id, int(flags, 16) & 3, state if len(state) <= _STATE_LENGTH else "")


def open_tracer(*, recording: bool) -> Tracer:
    """What begins spans here; raises InvalidSetting where they cannot be recorded."""
    if not recording:
        return PASSING
    try:
        from service.telemetry.spans import open_recorder  # takes half a second
    except ImportError as error:
        raise InvalidSetting(
            "BLITZ_OTEL: OpenTelemetry is not installed: "
            "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http, or unset it"
        ) from error
    return open_recorder()
