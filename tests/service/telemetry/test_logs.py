import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

import pytest
import structlog

from service.telemetry import line_writer
from service.telemetry.logs import LogFormat, configure_logs, count_dropped_lines
from tests.running import ROOT

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


@dataclass
class Pipe:
    """A pipe, and the text file at its end that is written to."""

    reader: int
    stream: TextIO

    def read(self, lines: int) -> list[bytes]:
        """So many lines; waits for them."""
        with os.fdopen(self.reader, "rb", closefd=False) as file:
            return [file.readline() for _ in range(lines)]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="ascii") as stream:
        yield Pipe(reader, stream)
        os.close(reader)  # wakes the thread that may still write


def test_a_reader_that_stops_blocks_nobody_and_lines_are_counted(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_writer, "MOST_WAITING", 100_000)
    configure_logs("info", "json", pipe.stream)
    for number in range(3000):  # three times what the pipe and the queue hold
        structlog.get_logger("a").info("x" * 100, number=number)
    dropped = count_dropped_lines()
    assert 0 < dropped < 3000
    written = [json.loads(line) for line in pipe.read(3000 - dropped + 1)]
    assert [line["number"] for line in written[:-1]] == list(range(3000 - dropped))
    assert (written[-1]["event"], written[-1]["lines"]) == ("log lines dropped", dropped)


def test_the_end_of_a_process_waits_for_a_reader_that_has_stopped_only_a_moment(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_writer, "FLUSH_S", 0.01)
    configure_logs("info", "json", pipe.stream)
    for _ in range(2000):
        structlog.get_logger("a").info("x" * 100)
    logging.getLogger().handlers[0].flush()


def test_a_reader_that_is_gone_harms_nobody(pipe: Pipe) -> None:
    configure_logs("info", "json", pipe.stream)
    os.close(pipe.reader)
    structlog.get_logger("a").info("hello")
    logging.getLogger().handlers[0].flush()
    assert count_dropped_lines() == 1
    pipe.reader = os.open(os.devnull, os.O_RDONLY)


def test_a_process_that_can_start_no_thread_writes_its_lines_itself(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    configure_logs("info", "json", pipe.stream)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        structlog.get_logger("a").info("hello")
    assert json.loads(pipe.read(1)[0])["event"] == "hello"


def test_without_threads_lines_are_written_at_once_or_dropped(pipe: Pipe) -> None:
    configure_logs("info", "json", pipe.stream, threads=False)
    before = threading.active_count()
    for _ in range(2000):
        structlog.get_logger("a").info("x" * 100)
    assert threading.active_count() == before
    dropped = count_dropped_lines()
    assert 0 < dropped < 2000
    assert all(json.loads(line)["event"] == "x" * 100 for line in pipe.read(2000 - dropped))


def test_json_is_utf_8_whatever_the_encoding_of_the_stream(pipe: Pipe) -> None:
    configure_logs("info", "json", pipe.stream)
    structlog.get_logger("a").info("hello", path="/ä/€")
    assert json.loads(pipe.read(1)[0])["path"] == "/ä/€"


def test_text_for_a_console_is_escaped_where_its_encoding_lacks_a_character(pipe: Pipe) -> None:
    configure_logs("info", "console", pipe.stream)
    structlog.get_logger("a").info("hello", path="/ä/€")
    assert rb"path=/\xe4/\u20ac" in pipe.read(1)[0]


@pytest.mark.parametrize("value", [2**70, "\udcff.jpg", {"nested": "\udcff"}])
def test_values_that_json_has_no_fast_form_for_are_logged_too(value: object) -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    structlog.get_logger("a").info("hello", value=value)
    assert json.loads(stream.getvalue())["value"] == value


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_huge_value_is_cut(style: LogFormat) -> None:
    stream = io.StringIO()
    configure_logs("info", style, stream)
    structlog.get_logger("a").info("request", model="m" * 15_000_000)
    logging.getLogger("somebody").warning("x" * 15_000_000)
    first, second = stream.getvalue().splitlines()
    assert len(first) < 700
    assert len(second) < 3000


def test_a_huge_traceback_is_cut() -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    structlog.get_logger("a").error("failed", exc_info=ValueError("x" * 15_000_000))
    assert len(stream.getvalue()) < 30_000


def test_a_process_that_is_forked_writes_its_lines_too(pipe: Pipe) -> None:
    script = (
        "import os, structlog; from service.telemetry.logs import configure_logs\n"
        "configure_logs('info', 'json')\n"
        "child = os.fork()\n"
        "structlog.get_logger('a').info('child' if child == 0 else 'parent')\n"
        "child and os.waitpid(child, 0)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=ROOT, stdout=pipe.stream, check=True)
    assert {json.loads(line)["event"] for line in pipe.read(2)} == {"parent", "child"}
