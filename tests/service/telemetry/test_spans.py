"""Spans as OpenTelemetry gets them, in memory and over the wire."""

import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("opentelemetry.sdk.trace.export", reason="the extra otel is not installed")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from service.telemetry import spans
from service.telemetry.metrics import Metrics
from service.telemetry.request_log import RequestRecord
from service.telemetry.spans import RecordingTracer
from service.types import Answer, BackendInfo, Segmentation, Size, Timings
from tests.fakes import encode_picture
from tests.running import PATIENCE_S, running_server

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
PNG = {"content-type": "image/png"}
FOUND = Segmentation(
    Size(1, 1), (), "m", "1", BackendInfo("o", "1", "fp32", 1, (), ()), Timings(2, 1, 20, 1, 4)
)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> Iterator[RecordingTracer]:
    tracer = RecordingTracer(SimpleSpanProcessor(exporter))
    yield tracer
    tracer.close()


def finish(tracer: RecordingTracer, traceparent: str | None = None, *, outcome: str = "ok") -> RequestRecord:
    """A request that took its time ago."""
    about: dict[str, object] = {"method": "POST", "path": "/v1/segment", "status": 200}
    record = RequestRecord("rest", "id-1", outcome, about=about, span=tracer.begin(traceparent, None))
    record.started -= 1
    if outcome == "ok":
        record.found(Answer(FOUND, queue_ms=3.0).summary(), rendered=False)
    record.write(Metrics(), "POST /v1/segment")
    return record


def test_a_request_and_its_stages_are_spans_of_its_callers_trace(
    tracer: RecordingTracer, exporter: InMemorySpanExporter
) -> None:
    finish(tracer, PARENT)
    *stages, request = exporter.get_finished_spans()
    assert request.name == "POST /v1/segment"
    assert request.parent is not None
    assert (f"{request.parent.span_id:016x}", f"{request.context.trace_id:032x}") == (SPAN, TRACE)
    assert [stage.name for stage in stages] == ["queue", "decode", "prepare", "infer", "postprocess", "masks"]
    assert all(stage.parent == request.context for stage in stages)
    assert [last_ms(stage) for stage in stages] == [3, 2, 1, 20, 1, 4]
    assert stages[0].end_time == stages[1].start_time
    times = [request.start_time, stages[0].start_time, stages[-1].end_time, request.end_time]
    assert times == sorted(set(times), key=lambda time: time or 0)
    assert 1000 <= last_ms(request) < 2000


def last_ms(span: ReadableSpan) -> int:
    assert span.start_time is not None
    assert span.end_time is not None
    return round((span.end_time - span.start_time) / 1e6)


def test_what_is_known_of_a_request_has_opentelemetrys_names(
    tracer: RecordingTracer, exporter: InMemorySpanExporter
) -> None:
    finish(tracer)
    *_, request = exporter.get_finished_spans()
    assert request.attributes == {
        "blitzmask.transport": "rest",
        "blitzmask.request_id": "id-1",
        "blitzmask.outcome": "ok",
        "blitzmask.model": "m",
        "blitzmask.instances": 0,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.path": "/v1/segment",
    }
    assert request.parent is None
    assert request.resource.attributes["service.name"] == "blitzmask-server"


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("internal", StatusCode.ERROR),
        ("Overloaded", StatusCode.ERROR),
        ("InvalidImage", StatusCode.UNSET),
        ("gone", StatusCode.UNSET),
    ],
)
def test_only_what_the_service_failed_at_is_an_error(
    tracer: RecordingTracer, exporter: InMemorySpanExporter, outcome: str, status: StatusCode
) -> None:
    finish(tracer, outcome=outcome)
    (request,) = exporter.get_finished_spans()
    assert request.status.status_code == status


def test_what_the_caller_does_not_sample_is_not_recorded_but_answered(
    tracer: RecordingTracer, exporter: InMemorySpanExporter
) -> None:
    record = finish(tracer, PARENT[:-1] + "0")
    assert exporter.get_finished_spans() == ()
    assert record.ids["trace_id"] == TRACE


class Collector(ThreadingHTTPServer):
    """Receives the spans that an OpenTelemetry exporter sends."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.bodies: list[bytes] = []

    def spans(self) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for body in self.bodies:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                names = {each.key: each.value.string_value for each in resource.resource.attributes}
                spans = [span for scope in resource.scope_spans for span in scope.spans]
                found += [
                    {"name": span.name, "trace": span.trace_id.hex(), "resource": names} for span in spans
                ]
        return found


class _Taker(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        self.server.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        serving = threading.Thread(target=collector.serve_forever)
        serving.start()
        yield collector
        collector.shutdown()
        serving.join()


def test_a_service_sends_its_spans_before_it_ends(
    collector: Collector, write_toy: Any, toy_files: Any, tmp_path: Path
) -> None:
    folder = write_toy(tmp_path / "models" / "toy", files={("onnx", "fp32"): toy_files["onnx", "fp32"]})
    settings = {
        "BLITZ_OTEL": "true",
        "BLITZ_MODELS_DIR": str(folder.parent),
        "BLITZ_STOP_DELAY_S": "0",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_SERVICE_NAME": "camera-7",
    }
    headers = {**PNG, "traceparent": PARENT}
    with running_server(**settings) as server:
        url = f"http://127.0.0.1:{server.http_port}/v1/segment"
        answer = httpx.post(url, content=encode_picture(), headers=headers, timeout=PATIENCE_S)
    assert server.process.returncode == 0
    assert answer.headers["traceparent"].startswith(f"00-{TRACE}-")
    sent = collector.spans()
    assert {span["trace"] for span in sent} == {TRACE}
    assert {span["resource"]["service.name"] for span in sent} == {"camera-7"}
    assert {"POST /v1/segment", "infer", "masks"} <= {span["name"] for span in sent}


class StuckProcessor(SimpleSpanProcessor):
    """Waits for its collector for ever when it is closed."""

    def shutdown(self) -> None:
        threading.Event().wait()


def test_a_collector_that_is_away_does_not_hold_up_the_stop(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "CLOSING_S", 0.01)
    RecordingTracer(StuckProcessor(exporter)).close()
