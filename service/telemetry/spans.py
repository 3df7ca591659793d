"""Spans for OpenTelemetry: one a request, and below it one for every stage. Needs the extra `otel`.

A request is told when it has ended, from what is measured anyway: while it is worked on nothing is added. The
OTEL_ variables of the standard say where spans go, how many, and what this service is called there.
"""

import threading
import time
from collections.abc import Mapping

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from service import __version__
from service.telemetry.tracing import Deed, TraceContext, read_context

NAME = "blitzmask-server"
CLOSING_S = 3.0  # for a collector that is away when the service stops
METHODS = {"rest": "http.request.method", "grpc": "rpc.method"}
NAMES = {"path": "url.path", "status": "http.response.status_code"}


class Recorder:
    """Records the spans of all requests that the sampler wants."""

    def __init__(self, processor: SpanProcessor) -> None:
        own = Resource({"service.name": NAME, "service.version": __version__})
        resource = own.merge(OTELResourceDetector().detect())  # the environment's word is the last
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._processor = processor
        self._tracer = self._provider.get_tracer(NAME, __version__)

    def begin(self, traceparent: str | None, tracestate: str | None) -> "RecordedSpan":
        parent = read_context(traceparent, tracestate)
        context = Context() if parent is None else _to_context(parent)
        return RecordedSpan(self._tracer, self._tracer.start_span("request", context, SpanKind.SERVER))

    def close(self) -> None:
        closing = threading.Thread(target=self._processor.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSING_S)


class RecordedSpan:
    """A span of the SDK, which its sampler may have left out."""

    def __init__(self, tracer: api.Tracer, span: api.Span) -> None:
        self._tracer = tracer
        self._span = span
        self._began_ns = time.time_ns()
        self.context = _from_context(span.get_span_context())

    def end(self, deed: Deed) -> None:
        span = self._span
        if not span.is_recording():
            return
        span.update_name(deed.name)
        span.set_attributes(_name_attributes(deed.attributes))
        if deed.failed:
            span.set_status(Status(StatusCode.ERROR))
        self._tell_stages(deed.stages, deed.told)
        span.end(self._began_ns + _to_ns(deed.seconds))

    def _tell_stages(self, stages: Mapping[str, float], told: float) -> None:
        """Stages end to end, the last of them over when they were told."""
        context = api.set_span_in_context(self._span, Context())
        at = self._began_ns + _to_ns(told - sum(stages.values()) / 1000)
        for stage, milliseconds in stages.items():
            part = self._tracer.start_span(stage, context, start_time=at)
            at += _to_ns(milliseconds / 1000)
            part.end(at)


def open_recorder() -> Recorder:
    """Spans go to OTEL_EXPORTER_OTLP_ENDPOINT, by default http://localhost:4318, in the background."""
    return Recorder(BatchSpanProcessor(OTLPSpanExporter()))


def _to_context(parent: TraceContext) -> Context:
    remote = SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(parent.flags),
        trace_state=TraceState.from_header([parent.state] if parent.state else []),
    )
    return api.set_span_in_context(NonRecordingSpan(remote), Context())


def _from_context(own: SpanContext) -> TraceContext:
    return TraceContext(
        f"{own.trace_id:032x}", f"{own.span_id:016x}", int(own.trace_flags), own.trace_state.to_header()
    )


def _to_ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _name_attributes(about: Mapping[str, object]) -> dict[str, str | int | float | bool]:
    """What is known of a request by OpenTelemetry's names, and by ours where it has none."""
    names = NAMES | {"method": METHODS[str(about["transport"])]}
    return {
        names.get(name, f"blitzmask.{name}"): value
        for name, value in about.items()
        if isinstance(value, (str, int, float, bool))
    }
