import io
import json
import logging
import threading

import pytest
import structlog

from service.telemetry.logs import configure_logs

pytestmark = pytest.mark.usefixtures("restored_logs")


def test_an_event_is_one_line_of_json() -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    structlog.get_logger("a").info("said\nhello", count=3, path="/ä")
    (line,) = stream.getvalue().splitlines()
    event = json.loads(line)
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "said\nhello", "level": "info", "count": 3, "path": "/ä"}


def test_what_libraries_log_has_the_same_shape() -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    logging.getLogger("somebody").warning("disk %s", "full")
    assert json.loads(stream.getvalue())["event"] == "disk full"


def test_a_traceback_is_a_field_of_its_line() -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    try:
        raise ValueError("swordfish")
    except ValueError:
        structlog.get_logger("a").exception("failed")
    assert "ValueError: swordfish" in json.loads(stream.getvalue())["exception"]


def test_below_the_level_nothing_is_written() -> None:
    stream = io.StringIO()
    configure_logs("warning", "json", stream)
    structlog.get_logger("a").info("hello")
    assert stream.getvalue() == ""


def test_what_a_client_got_wrong_is_not_the_operators_business() -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    logging.getLogger("python_multipart.multipart").warning("Expected boundary character")
    logging.getLogger("uvicorn.error").info("Started server process")
    assert stream.getvalue() == ""


def test_libraries_are_no_louder_than_the_level() -> None:
    stream = io.StringIO()
    configure_logs("error", "json", stream)
    logging.getLogger("uvicorn.error").warning("hm")
    assert stream.getvalue() == ""


def test_for_a_console_lines_are_text() -> None:
    stream = io.StringIO()
    configure_logs("info", "console", stream)
    structlog.get_logger("a").info("hello", count=3)
    assert "hello" in stream.getvalue()
    assert "count=3" in stream.getvalue()


def test_lines_of_many_threads_do_not_mix() -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    log = structlog.get_logger("a")
    threads = [threading.Thread(target=lambda: [log.info("x" * 500) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {json.loads(line)["event"] for line in stream.getvalue().splitlines()} == {"x" * 500}


def test_a_log_that_cannot_be_written_harms_nobody() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    configure_logs("info", "json", Full())
    structlog.get_logger("a").info("hello")
    logging.getLogger("somebody").warning("hello")
