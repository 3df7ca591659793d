"""Several workers start: the first says why it is not ready; the others start once it is ready."""

from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.serving.conftest import Serve, Service
from tests.running import PATIENCE_S
from tests.service.conftest import WriteToy


@pytest.fixture
def golden(write_toy: WriteToy, tmp_path: Path) -> Path:
    """Of the only model."""
    return write_toy(tmp_path / "models" / "toy") / "golden.json"


@pytest.fixture
def service(serve: Serve, golden: Path) -> Service:
    """Two workers, and a model that cannot serve yet, because its golden.json is missing."""
    golden.rename(golden.with_suffix(".later"))
    service = serve(WORKERS=2, MODELS_DIR=golden.parents[1], WATCH_S=0.1)
    service.wait_for("not ready")
    return service


def find_workers(service: Service) -> list[psutil.Process]:
    return psutil.Process(service.process.pid).children()


def mend(golden: Path) -> None:
    golden.with_suffix(".later").rename(golden)


def test_while_the_first_worker_cannot_answer_it_is_the_only_one(service: Service, golden: Path) -> None:
    assert len(find_workers(service)) == 1
    answer = httpx.post(
        f"{service.url}/v1/segment", content=b"", headers={"content-type": "image/png"}, timeout=PATIENCE_S
    )
    assert answer.status_code == 503
    assert "golden.json" in answer.json()["detail"]
    mend(golden)
    service.wait_for("ready", times=2)
    assert len(find_workers(service)) == 2
    assert [line["event"] for line in service.lines() if line["event"] in ("ready", "listening")] == [
        "listening",  # the first, before it is ready; the second only after
        "ready",
        "ready",
        "listening",
    ]
    assert service.stop() == 0


def test_a_first_worker_that_is_killed_before_it_is_ready_is_replaced(service: Service, golden: Path) -> None:
    find_workers(service)[0].kill()
    service.wait_for("worker ended")
    mend(golden)
    service.wait_for("ready", times=2)
    assert len(find_workers(service)) == 2
    assert service.stop() == 0


def test_a_signal_before_the_first_worker_is_ready_starts_no_other(service: Service) -> None:
    assert service.stop() == 0
    assert len(service.lines("listening")) == 1
