"""Spans for OpenTelemetry: one for each request, and below it one for each stage. Needs the extra `otel`.

A span is built when its request has ended, from times that are measured anyway: no request waits for it. The
standard's OTEL_ variables say where spans go, how many are kept, and the service's name.
"""

import threading
import time
from collections.abc import Mapping

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode

from service import __version__
from service.errors import InvalidSetting
from service.telemetry.tracing import SpanData, describe_context, extract_context

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
except ImportError as error:
    raise InvalidSetting(
        "BLITZ_OTEL: OpenTelemetry is not installed: "
        "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http, or unset it"
    ) from error

NAME = "blitzmask-server"
CLOSING_S = 3.0  # for a collector that does not answer when the service stops
METHODS = {"rest": "http.request.method", "grpc": "rpc.method"}
NAMES = {"path": "url.path", "status": "http.response.status_code"}


class RecordingTracer:
    """Records the spans of all requests that the sampler chooses."""

    def __init__(self, processor: SpanProcessor) -> None:
        own = Resource({"service.name": NAME, "service.version": __version__})
        resource = own.merge(OTELResourceDetector().detect())  # the environment overrides our own names
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._processor = processor
        self._tracer = self._provider.get_tracer(NAME, __version__)

    def begin(self, traceparent: str | None, tracestate: str | None) -> "RecordedSpan":
        context = extract_context(traceparent, tracestate)
        return RecordedSpan(self._tracer, self._tracer.start_span("request", context, SpanKind.SERVER))

    def close(self) -> None:
        closing = threading.Thread(target=self._processor.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSING_S)


class RecordedSpan:
    """A span of the SDK, unless its sampler left it out."""

    def __init__(self, tracer: api.Tracer, span: api.Span) -> None:
        self._tracer = tracer
        self._span = span
        self._began_ns = time.time_ns()
        self.context = describe_context(span.get_span_context())

    def end(self, data: SpanData) -> None:
        span = self._span
        if not span.is_recording():
            return
        span.update_name(data.name)
        span.set_attributes(_name_attributes(data.attributes))
        if data.failed:
            span.set_status(Status(StatusCode.ERROR))
        self._record_stages(data)
        span.end(self._began_ns + _to_ns(data.seconds))

    def _record_stages(self, data: SpanData) -> None:
        """One span for each stage: each begins when the one before it ends."""
        context = api.set_span_in_context(self._span, Context())
        at = self._began_ns + _to_ns(data.stages_end_s - sum(data.stages_ms.values()) / 1000)
        for stage, milliseconds in data.stages_ms.items():
            part = self._tracer.start_span(stage, context, start_time=at)
            at += _to_ns(milliseconds / 1000)
            part.end(at)


def open_recording_tracer() -> RecordingTracer:
    """Sends spans to OTEL_EXPORTER_OTLP_ENDPOINT, by default http://localhost:4318, in the background."""
    return RecordingTracer(BatchSpanProcessor(OTLPSpanExporter()))


def _to_ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _name_attributes(fields: Mapping[str, object]) -> dict[str, str | int | float | bool]:
    """The fields of a request by OpenTelemetry's names, or by ours where it has none."""
    names = NAMES | {"method": METHODS[str(fields["transport"])]}
    return {
        names.get(name, f"blitzmask.{name}"): value
        for name, value in fields.items()
        if isinstance(value, (str, int, float, bool))
    }
