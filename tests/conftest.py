"""Settings for all tests, and fixtures that tests of several packages use."""

import io
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

import service.process.libraries  # noqa: F401  # sets how numpy, gRPC and ONNX Runtime behave
from service.telemetry.logs import LIBRARIES, configure_logs

# Services that the tests start time no files, and write nothing into the home of whoever runs the tests.
os.environ.setdefault("BLITZ_TUNE", "no")

# Under nohup, children would inherit that SIGHUP is ignored, and tests send it.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A property has to hold on a busy machine too; pytest's own timeout ends a test that hangs.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


OTHER_PACKAGES = tuple(Path(__file__).parent / name for name in ("training", "loadtest"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Measures the coverage of service/ only in its own tests: it costs Python code two thirds more time."""
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in OTHER_PACKAGES):
            item.add_marker(pytest.mark.no_cover)


def configure_plain_tracebacks() -> None:
    """Logs as structlog does by default, but without rich tracebacks, which take seconds each."""
    structlog.reset_defaults()
    *processors, _ = structlog.get_config()["processors"]
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*processors, renderer])


configure_plain_tracebacks()


@pytest.fixture
def restored_logs() -> Iterator[None]:
    """Puts logging back as it was after a test that configures it."""
    root, told = logging.getLogger(), logging.raiseExceptions
    handlers, level = root.handlers, root.level
    yield
    root.handlers, logging.raiseExceptions = handlers, told
    root.setLevel(level)
    for library in LIBRARIES:
        logging.getLogger(library).setLevel("NOTSET")
    configure_plain_tracebacks()


@pytest.fixture
def lines(restored_logs: None) -> Iterator[io.StringIO]:
    """A stream with the JSON log lines of level info and above."""
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    logging.getLogger("httpx").setLevel("WARNING")  # a client of these tests
    yield stream
    logging.getLogger("httpx").setLevel("NOTSET")
