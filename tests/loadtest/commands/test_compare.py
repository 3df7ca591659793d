"""Servers are compared in turns, and an independent tool measures about the same as this load test."""

import dataclasses
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import service
from loadtest.commands.compare import (
    Agreement,
    Compare,
    build_command,
    compare_rows,
    remove_varying,
    run_h2load,
    to_table,
)
from loadtest.measurement.fake_server import GOOD_JSON, GOOD_MESSAGE, FakeServer, Reply, running
from loadtest.reports.content import Outcome
from loadtest.types import CannotRun, Photo, Target
from service.rpc.generated import segmentation_pb2 as messages
from tests.loadtest.rows import ROW, make_stage, with_latency

needs_h2load = pytest.mark.skipif(
    shutil.which("h2load") is None, reason="h2load is not installed (Debian: apt install nghttp2-client)"
)


async def compare(side_a: FakeServer, side_b: FakeServer, **arguments: Any) -> Outcome:
    """The outcome of rounds of 0.2 seconds; B is asked for the model "b"."""
    a, b = f"http://127.0.0.1:{side_a.port}", f"http://127.0.0.1:{side_b.port}?model=b"
    words = {"a": a, "b": b, "duration": 0.2, "warmup": 0, "concurrency": 2, "rounds": 3} | arguments
    return (await Compare.model_validate(words).run(make_stage())).outcome


@pytest.mark.slow
async def test_the_slower_of_two_servers_shows_by_its_ratio(fake: FakeServer) -> None:
    fake.script = lambda _: Reply(body=GOOD_JSON, delay=0.04)
    with running(FakeServer(lambda _: Reply(body=GOOD_JSON, delay=0.08))) as slow:
        outcome = await compare(fake, slow, duration=2)

    assert [row.name for row in outcome.rows] == ["A 1", "B 1", "A 2", "B 2", "A 3", "B 3"]
    throughput, p50, _ = outcome.findings
    assert throughput.value is not None
    assert throughput.low is not None
    assert throughput.high is not None
    assert throughput.low <= throughput.value <= throughput.high < 1
    assert p50.value is not None
    assert p50.value > 1


@pytest.mark.slow
async def test_the_sides_take_turns_at_going_first(fake: FakeServer) -> None:
    fake.script = lambda _: Reply(body=GOOD_JSON, delay=0.01)
    await compare(fake, fake, rounds=4, concurrency=1, duration=1)
    photos = 3
    sides = "".join("B" if b"model=b" in head else "A" for head in fake.heads)
    turns = "".join(side for side, _ in itertools.groupby(sides[2 * photos :]))  # without the probes
    assert turns == "ABABA"  # A B, B A, A B, B A


async def test_the_servers_of_two_checkouts_are_started_and_compared(models: Path, tmp_path: Path) -> None:
    (tmp_path / "service").symlink_to(Path(service.__file__).parent)
    (tmp_path / "models").symlink_to(models)
    words = {"a": str(tmp_path), "b": str(tmp_path), "duration": 1, "warmup": 0, "rounds": 2}
    arguments = words | {"transport": "grpc", "same_answers": True}
    found = await Compare.model_validate(arguments).run(make_stage())
    assert (found.outcome.findings[0].value, found.outcome.findings[0].met) == (3, True)
    a, b = (harness.setup.target for harness in found.harnesses)
    assert a.transport == b.transport == "grpc"
    assert a.port != b.port
    assert all(row.answered for row in found.outcome.rows)


@pytest.mark.parametrize(("change", "same"), [("varying", True), ("model", False)])
async def test_answers_are_compared_byte_by_byte_but_for_what_varies(
    fake: FakeServer, change: str, same: bool
) -> None:
    fields = json.loads(GOOD_JSON)
    varying = {"timings_ms": {"infer": 1.0}, "backend": fields["backend"] | {"threads": 2}}
    changed = varying if change == "varying" else {"model": "other"}
    body = json.dumps(fields | changed, separators=(",", ":")).encode()
    fake.script = lambda _: Reply(body=json.dumps(fields, separators=(",", ":")).encode())
    with running(FakeServer(lambda _: Reply(body=body))) as other:
        finding, *_ = (await compare(fake, other, same_answers=True, rounds=2)).findings
    assert (finding.value, finding.met) == ((3, True) if same else (0, False))


def test_timings_are_removed_from_a_message_and_nothing_else() -> None:
    found = messages.SegmentResponse.FromString(remove_varying(("native", "grpc"), GOOD_MESSAGE))
    assert not found.HasField("timings_ms")
    assert (found.model, found.image.width) == ("fake", 6)
    assert remove_varying(("oip", "rest"), b'{"a": 1}') == b'{"a": 1}'


def test_a_round_without_an_answer_makes_a_ratio_unknown() -> None:
    silent = with_latency(dataclasses.replace(ROW, throughput=0.0))
    throughput, p50, p99 = compare_rows([ROW, ROW], [ROW, silent])
    assert (throughput.value, p50.value, p99.value) == (None, None, None)


@needs_h2load
@pytest.mark.slow
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
