"""An independent tool measures about the same, on the same server and load."""

import shutil
from pathlib import Path

import pytest

from loadtest.commands.agreement import Agreement, build_command, run_h2load, to_table
from loadtest.measurement.fake_server import GOOD_JSON, FakeServer, Reply
from loadtest.types import CannotRun, Photo, Target
from tests.loadtest.rows import make_stage

needs_h2load = pytest.mark.skipif(
    shutil.which("h2load") is None, reason="h2load is not installed (Debian: apt install nghttp2-client)"
)


@needs_h2load
@pytest.mark.parametrize("transport", ["url", "grpc"])
async def test_the_throughput_is_that_of_h2load(fake: FakeServer, transport: str) -> None:
    """Every answer takes 50 ms, so that neither tool is the bottleneck; a busy machine may slow one more."""
    fake.script = lambda _: Reply(body=GOOD_JSON, delay=0.05)
    address = {"url": f"http://127.0.0.1:{fake.port}", "grpc": f"127.0.0.1:{fake.grpc_port}"}[transport]
    command = Agreement.model_validate(
        {transport: address, "rounds": 2, "duration": 2, "warmup": 0.2, "concurrency": 8}
    )
    (table,) = (await command.run(make_stage())).outcome.tables
    assert [line[0] for line in table.lines] == ["loadtest", "h2load"]
    assert 0.5 < float(table.lines[1][2]) < 2


def test_a_grpc_request_is_framed(photo: Photo, tmp_path: Path) -> None:
    words = build_command(Target("grpc", "127.0.0.1", 9), photo, tmp_path / "body")
    body = (tmp_path / "body").read_bytes()
    assert body[0] == 0
    assert int.from_bytes(body[1:5], "big") == len(body) - 5
    assert photo.data in body
    assert words[-1] == "http://127.0.0.1:9/blitzmask.v1.SegmentationService/Segment"


@needs_h2load
def test_a_server_that_is_absent_is_one_line(photo: Photo, tmp_path: Path) -> None:
    words = build_command(Target("rest", "127.0.0.1", 9), photo, tmp_path / "body")
    with pytest.raises(CannotRun, match="h2load did not measure"):
        run_h2load(words, clients=1, seconds=1)


def test_the_table_has_the_mean_and_the_ratio_of_both() -> None:
    assert to_table([100.0, 50.0], [102.0, 51.0]).lines == (
        ("loadtest", "75.0", "1", "-"),
        ("h2load", "76.5", "1.020", "1.02-1.02"),
    )
