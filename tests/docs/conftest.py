"""One server with the embedded default model for all documentation."""

from collections.abc import Iterator

import pytest

from tests.running import RunningServer, running_server


@pytest.fixture(scope="session")
def server() -> Iterator[RunningServer]:
    """A ready server on free ports."""
    with running_server() as server:
        yield server
