"""A few of the cases of `python -m tests.fuzz`, always the same ones."""

import pytest

from tests.e2e.serving.conftest import Service
from tests.fuzz.campaign import fuzzed_service, list_faults, measure, run_round

CASES = 160


@pytest.mark.timeout(120)
def test_whatever_is_sent_is_answered_refused_or_hung_up_on(tmp_path_factory: pytest.TempPathFactory) -> None:
    with fuzzed_service(tmp_path_factory.mktemp("fuzz") / "log") as service:
        said = run_round(service, CASES, number=7)
        assert said.total() >= CASES * 0.9
        assert {kind.split()[0] for kind in said} == {"http", "grpc", "noise", "live"}
        assert list_faults(service) == []
        check_calm(service)


def check_calm(service: Service) -> None:
    """It lives, holds nothing of those who are gone, and stops as it should."""
    assert service.process.poll() is None
    assert measure(service).descriptors < 60
    assert service.stop() == 0
