"""W3C trace context: the trace that a request belongs to, read from its headers, repeated in its answer.

Without BLITZ_OTEL the service records no spans: a caller that sends a trace finds its ids in the answer and
in the log. With BLITZ_OTEL, `spans` records them.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

# FastAPI imports the same package, so that this costs neither time nor memory.
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
LONGEST = 512  # characters of a header: as much as the standard asks for; what is longer is ignored

_PROPAGATOR = TraceContextTextMapPropagator()


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace: its ids in lower-case hexadecimals, 32 and 16 of them; bit 0 of flags: sampled."""

    trace_id: str
    span_id: str
    flags: int = 0
    state: str = ""

    @property
    def traceparent(self) -> str:
        """The header's value.

        >>> TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1).traceparent
        '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
        """
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


@dataclass(frozen=True, slots=True)
class SpanData:
    """The content of a request's span, known when the request has ended.

    seconds: the request's duration. stages_ms: the stages in their order, which end `stages_end_s` seconds
    after the request's begin; empty where nothing was computed.
    """

    name: str
    attributes: Mapping[str, object]
    seconds: float
    failed: bool = False
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    stages_end_s: float = 0.0


class Span(Protocol):
    """One request's part of a trace."""

    @property
    def context(self) -> TraceContext: ...
    def end(self, data: SpanData) -> None:
        """Record the span, where spans are recorded."""
        ...


class Tracer(Protocol):
    """Begins the span of every request; None for a request without a trace, where spans are not recorded."""

    def begin(self, traceparent: str | None, tracestate: str | None) -> Span | None: ...
    def close(self) -> None:
        """Send what is recorded; may take seconds."""
        ...


@dataclass(frozen=True, slots=True)
class PropagatedSpan:
    """A span with ids, which nobody records."""

    context: TraceContext

    def end(self, data: SpanData) -> None:
        pass


class PropagatingTracer:
    """Takes part in the traces of callers and records nothing."""

    def begin(self, traceparent: str | None, tracestate: str | None) -> Span | None:
        parent = read_context(traceparent, tracestate) if traceparent else None
        if parent is None:
            return None
        return PropagatedSpan(TraceContext(parent.trace_id, secrets.token_hex(8), parent.flags, parent.state))

    def close(self) -> None:
        pass


PROPAGATING: Tracer = PropagatingTracer()


def extract_context(traceparent: str | None, tracestate: str | None) -> Context:
    """OpenTelemetry's context with the caller's span, or without one where the standard takes none."""
    headers = {TRACEPARENT: traceparent or "", TRACESTATE: tracestate or ""}
    short = {name: value for name, value in headers.items() if 0 < len(value) <= LONGEST}
    return _PROPAGATOR.extract(short, Context())


def read_context(traceparent: str | None, tracestate: str | None) -> TraceContext | None:
    """The caller's place in its trace; None where the headers name none that the standard takes.

    >>> read_context("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None).flags
    1
    >>> read_context("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None)
    """
    caller = get_current_span(extract_context(traceparent, tracestate)).get_span_context()
    return describe_context(caller) if caller.is_valid else None


def describe_context(context: SpanContext) -> TraceContext:
    """OpenTelemetry's span context in our terms; of the flags only those that the standard defines."""
    return TraceContext(
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        int(context.trace_flags) & 3,
        context.trace_state.to_header(),
    )
