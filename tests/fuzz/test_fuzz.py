"""A few of the cases of `python -m tests.fuzz`, always the same ones, and a little of schemathesis."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.e2e.serving.conftest import Service, running
from tests.fuzz.campaign import fuzzed_service, list_faults, measure, run_round
from tests.fuzz.description import follow_description
from tests.fuzz.hostile import ATTACKS
from tests.fuzz.soak import read_counters
from tests.fuzz.stalls import attack, find_door
from tests.fuzz.verdicts import check_status
from tests.running import PATIENCE_S

CASES = 160
DESCRIBED = 2  # of each operation at random, beside the corners that its description names


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all hostile inputs."""
    with running(tmp_path_factory.mktemp("hostile") / "log") as service:
        service.wait_for("ready")
        yield service


def test_whatever_is_sent_is_answered_refused_or_hung_up_on(tmp_path_factory: pytest.TempPathFactory) -> None:
    with fuzzed_service(tmp_path_factory.mktemp("fuzz") / "log") as service:
        said = run_round(service, CASES, number=7)
        assert said.total() >= CASES * 0.9
        assert {kind.split()[0] for kind in said} == {"http", "grpc", "noise", "live"}
        assert list_faults(service) == []
        check_calm(service)


def test_the_service_is_as_its_description_has_it(tmp_path: Path) -> None:
    with fuzzed_service(tmp_path / "log") as service:
        assert follow_description(service, DESCRIBED)
        assert list_faults(service) == []


@pytest.mark.parametrize("kind", ["Host", "labels", "HTTP/0.9", "60 kB", "1 M inputs", "5 MB", "trailers"])
def test_the_service_counts_what_it_says_to_hostile_inputs(hostile: Service, kind: str) -> None:
    door, counted = find_door(hostile), read_counters(hostile)
    said = Counter[str]()
    for name in ATTACKS:
        said += attack(name, door) if kind in name else Counter()
    assert said
    deadline = time.monotonic() + PATIENCE_S
    while read_counters(hostile) - counted != said:  # a request is counted after its answer has left
        assert time.monotonic() < deadline, (said, read_counters(hostile) - counted)
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("status", "hurried", "sound"),
    [(422, False, True), (503, False, True), (504, True, True), (504, False, False), (500, True, False)],
)
def test_only_a_deadline_that_the_request_set_may_pass(status: int, hurried: bool, sound: bool) -> None:
    with nullcontext() if sound else pytest.raises(AssertionError, match=f"status {status}"):
        check_status(status, hurried=hurried)


def check_calm(service: Service) -> None:
    """The service still runs, keeps nothing of finished clients, and stops cleanly."""
    assert service.process.poll() is None
    assert measure(service).descriptors < 60
    assert service.stop() == 0
