"""Thousands of cases against one running service, in rounds, and checks of the service afterwards."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.e2e.serving.conftest import Service, running
from tests.fuzz.calls import calls
from tests.fuzz.requests import cases, noise
from tests.fuzz.sessions import sessions
from tests.fuzz.verdicts import Prober

SHARES = {"ask": 0.5, "call": 0.3, "shout": 0.12, "stream": 0.08}
STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "ask": cases,
    "call": calls(),
    "shout": noise(),
    "stream": sessions,
}


@dataclass(frozen=True, slots=True)
class Use:
    """The resident memory, open descriptors and threads of the service's process."""

    resident_mb: float
    descriptors: int
    threads: int


@contextmanager
def fuzzed_service(log: Path) -> Iterator[Service]:
    """The default model, with limits low enough to be met."""
    with running(log, MAX_BODY_MB=1, MAX_PIXELS=2_000_000, SLOTS=2) as service:
        service.wait_for("ready")
        yield service


def run_round(service: Service, count: int, *, number: int) -> Counter[str]:
    """Runs so many cases, the same ones for the same `number`, and returns the counts of answers.

    Raises the first violation.
    """
    prober = Prober(service.http_port, int(service.target.rpartition(":")[2]))
    try:
        for name, share in SHARES.items():
            _try_many(getattr(prober, name), STRATEGIES[name], count=round(count * share), number=number)
    finally:
        prober.close()
    return prober.said


def measure(service: Service) -> Use:
    process = psutil.Process(service.process.pid)
    return Use(process.memory_info().rss / 2**20, process.num_fds(), process.num_threads())


def list_faults(service: Service) -> list[dict[str, Any]]:
    """The log lines of failures that should not have happened."""
    return [
        line
        for line in service.lines()
        if line["level"] in ("error", "critical") or line.get("outcome") == "internal" or "exception" in line
    ]


def _try_many(
    check: Callable[[Any], None], strategy: st.SearchStrategy[Any], count: int, number: int
) -> None:
    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def attempt(case: Any) -> None:
        check(case)

    attempt()
