"""The folder of inputs that once went wrong. It lies beside the repository and is not part of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.running import RunningServer, running_server

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT.parent / "shared" / "cases"

FindCase = Callable[[str], Path]


@pytest.fixture(scope="session")
def find_case() -> FindCase:
    """`find_case("s01")`: the folder whose name begins so; skips the test where it is not there."""

    def find(prefix: str) -> Path:
        found = sorted(CASES.glob(f"{prefix}-*"))
        if not found:
            pytest.skip(f"no folder {prefix}-* in shared/cases beside the repository")
        return found[0]

    return find


@pytest.fixture(scope="session")
def server() -> Iterator[RunningServer]:
    """A ready server with the embedded models, which pages of http://a.example may use."""
    if not CASES.is_dir():
        pytest.skip("no folder shared/cases beside the repository")
    with running_server(BLITZ_ORIGINS="http://a.example") as server:
        yield server
