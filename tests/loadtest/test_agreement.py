"""The same figure as independent tools', on the same server and load."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from loadtest.agreement import TOOLS, Tool, Turn, main, measure_tools, run_ab, to_sheet
from loadtest.clients import Photo
from loadtest.errors import CannotRun
from loadtest.fake import GOOD_JSON, FakeServer, Reply
from loadtest.targets import Target


@pytest.fixture
def turn(fake: FakeServer, photo: Photo, photo_file: Path) -> Turn:
    return Turn(Target("rest", "127.0.0.1", fake.port), photo, photo_file, clients=8, seconds=4)


@pytest.mark.skipif(
    not any(map(shutil.which, TOOLS)), reason="neither wrk nor ab (Debian: apt install wrk apache2-utils)"
)
async def test_throughput_is_that_of_other_tools_within_five_percent(fake: FakeServer, turn: Turn) -> None:
    """Every answer takes 50 ms, so that no tool is the bottleneck; a busy machine can only lower a rate."""
    fake.script = lambda _: Reply(body=GOOD_JSON, delay=0.05)
    best = {name: max(rates) for name, rates in (await measure_tools(turn, rounds=2)).items()}
    assert best == {name: pytest.approx(best["loadtest"], rel=0.05) for name in best}


def test_the_table_has_the_mean_and_the_ratio_of_each() -> None:
    sheet = to_sheet({"loadtest": [100.0, 50.0], "wrk": [102.0, 51.0]})
    assert sheet.lines == (
        ("loadtest", "75.0", "1.000", "1.000-1.000"),
        ("wrk", "76.5", "1.020", "1.020-1.020"),
    )


@pytest.mark.parametrize("run", TOOLS.values(), ids=TOOLS)
def test_a_tool_that_cannot_measure_is_quoted(run: Tool, turn: Turn) -> None:
    if shutil.which("ab" if run is run_ab else "wrk") is None:
        pytest.skip("it is not installed")
    nobody = dataclasses.replace(turn, target=Target("rest", "127.0.0.1", 9))
    with pytest.raises(CannotRun, match="did not measure"):
        run(nobody)


def test_a_server_that_is_not_there_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["http://127.0.0.1:9"]) == 2
    assert "is the server running" in capsys.readouterr().err
