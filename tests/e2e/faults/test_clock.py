"""A clock that jumps: durations, deadlines and rates do not come from it."""

import ast
from pathlib import Path

import grpc
import httpx
import pytest

from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.generated import segmentation_pb2_grpc as pb_grpc
from tests.e2e.serving.conftest import ROOT, Serve
from tests.running import PATIENCE_S

PNG = {"content-type": "image/png"}
WALL = {"time", "time_ns", "now", "utcnow", "today"}
# Where the time of day itself is meant: of the last inference, of a span's begin, of a camera's picture, of a
# webhook's signature.
MEANT = {"statistics.py", "spans.py", "source.py", "webhook.py"}
JUMPING = """
import itertools, time
_true, _jumps = time.time, itertools.cycle([0, 86400 * 365, -86400 * 365, 3.0e9])
time.time = lambda: _true() + next(_jumps)
time.time_ns = lambda: int(time.time() * 1e9)
"""


def find_clocks(source: str) -> set[str]:
    """Calls of clocks that somebody may set, as module.function."""
    calls = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return {
        f"{call.value.id}.{call.attr}"
        for call in calls
        if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name) and call.attr in WALL
        if call.value.id in ("time", "datetime", "date")
    }


def test_nothing_that_lasts_is_measured_by_the_wall_clock() -> None:
    files = [path for path in (ROOT / "service").rglob("*.py") if "generated" not in path.parts]
    assert len(files) > 50
    found = {path.name for path in files if find_clocks(path.read_text())}
    assert found == MEANT


@pytest.fixture
def jumping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes started now see another year at every look."""
    folder = tmp_path / "clock"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(JUMPING)
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.usefixtures("jumping")
def test_a_service_whose_clock_jumps_answers_in_time_and_stops_in_time(serve: Serve, rose: bytes) -> None:
    service = serve(TIMEOUT_S=5)
    service.wait_for("ready")
    with httpx.Client(base_url=service.url, headers=PNG, timeout=PATIENCE_S) as client:
        for _ in range(20):
            answer = client.post("/v1/segment", content=rose, headers={"x-request-timeout": "5"})
            assert answer.status_code == 200
            assert 0 < answer.json()["timings_ms"]["total"] < 5000
            assert 0 <= answer.json()["timings_ms"]["queue"] < 5000
    with grpc.insecure_channel(service.target) as channel:
        stub = pb_grpc.SegmentationServiceStub(channel)  # type: ignore[no-untyped-call]  # protoc's
        for _ in range(20):  # without a deadline: grpcio gives its own by a clock that does not jump here
            assert stub.Segment(pb.SegmentRequest(image=rose)).instances
    assert service.stop() == 0
    spent = [line["ms"] for line in service.lines("request")]
    assert len(spent) == 40
    assert all(0 < ms < 5000 for ms in spent)
