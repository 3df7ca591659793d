"""What holds for all tests, and what those of several parts use."""

import io
import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

from service.logs import configure_logs

# A property has to hold on a busy machine too; pytest's own timeout ends a test that hangs.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged as JSON, from level info on."""
    root, quiet = logging.getLogger(), logging.raiseExceptions
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    logging.getLogger("httpx").setLevel("WARNING")  # a client of these tests
    yield stream
    logging.getLogger("httpx").setLevel("NOTSET")
    root.handlers, logging.raiseExceptions = handlers, quiet
    root.setLevel(level)
    structlog.reset_defaults()
