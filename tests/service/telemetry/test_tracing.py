import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidSetting
from service.process.server import open_tracer
from service.telemetry.tracing import PROPAGATING, TraceContext, read_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
HEX = "0123456789abcdef"


def ids(length: int) -> st.SearchStrategy[str]:
    return st.text(HEX, min_size=length, max_size=length).filter(lambda text: set(text) != {"0"})


@given(ids(32), ids(16), st.integers(0, 3))
def test_what_is_written_is_read_again(trace_id: str, span_id: str, flags: int) -> None:
    context = TraceContext(trace_id, span_id, flags)
    assert read_context(context.traceparent, None) == context


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-1",
    ],
)
def test_what_the_standard_does_not_take_begins_no_trace(header: str | None) -> None:
    assert read_context(header, None) is None
    assert PROPAGATING.begin(header, "a=1") is None


def test_a_later_version_may_say_more() -> None:
    assert read_context(f"01-{TRACE}-{SPAN}-ff-new", None) == TraceContext(TRACE, SPAN, 3)


def test_a_request_has_an_id_of_its_own_in_its_callers_trace() -> None:
    span = PROPAGATING.begin(PARENT, "vendor=1")
    assert span is not None
    context = span.context
    assert (context.trace_id, context.flags, context.state) == (TRACE, 1, "vendor=1")
    assert re.fullmatch("[0-9a-f]{16}", context.span_id)
    assert context.span_id != SPAN


def test_a_state_that_is_too_long_is_not_carried() -> None:
    context = read_context(PARENT, "a=" + "x" * 600)
    assert context is not None
    assert context.state == ""


def test_where_opentelemetry_is_missing_the_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "service.telemetry.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(InvalidSetting, match=r"BLITZ_OTEL: .* pip install opentelemetry-sdk"):
        open_tracer(recording=True)


def test_without_the_setting_opentelemetry_is_not_even_loaded() -> None:
    program = (
        "import sys; from service.process.server import Server; from service.settings import Settings;"
        "Server(Settings()); print('opentelemetry.sdk' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    assert printed == b"False\n"
