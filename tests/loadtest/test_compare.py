import asyncio
import dataclasses
import itertools

import pytest
from rich.console import Console

from loadtest.compare import compare_rows, run_compare
from loadtest.fake import GOOD_JSON, FakeServer, Reply, running
from loadtest.progress import Progress
from loadtest.session import Setup, open_session
from tests.loadtest.rows import ROW, with_latency


async def test_the_slower_of_two_servers_shows_by_its_ratio(fake: FakeServer, setup: Setup) -> None:
    fake.script = lambda _: Reply(body=GOOD_JSON, delay=0.04)
    progress = Progress(Console(quiet=True))
    with running(FakeServer(lambda _: Reply(body=GOOD_JSON, delay=0.08))) as slow:
        other = dataclasses.replace(setup, target=dataclasses.replace(setup.target, port=slow.port))
        async with (
            open_session(setup, progress=progress, stop=asyncio.Event()) as side_a,
            open_session(other, progress=progress, stop=asyncio.Event()) as side_b,
        ):
            outcome = await run_compare(side_a, side_b, clients=2, rounds=3, seconds=0.5)

    assert [row.name for row in outcome.rows] == ["A 1", "B 1", "A 2", "B 2", "A 3", "B 3"]
    throughput, p50, _ = outcome.findings
    assert throughput.value == pytest.approx(0.5, abs=0.12)
    assert p50.value == pytest.approx(2, abs=0.4)
    assert (throughput.low or 1) <= 0.62
    assert (throughput.high or 0) >= 0.38


async def test_the_sides_take_turns_at_going_first(fake: FakeServer, setup: Setup) -> None:
    fake.script = lambda _: Reply(body=GOOD_JSON, delay=0.01)
    ask = dataclasses.replace(setup.target.ask, model="b")
    other = dataclasses.replace(setup, target=dataclasses.replace(setup.target, ask=ask))
    progress = Progress(Console(quiet=True))
    async with (
        open_session(setup, progress=progress, stop=asyncio.Event()) as side_a,
        open_session(other, progress=progress, stop=asyncio.Event()) as side_b,
    ):
        await run_compare(side_a, side_b, clients=1, rounds=4, seconds=0.1)

    sides = "".join("B" if b"model=b" in head else "A" for head in fake.heads)
    turns = "".join(side for side, _ in itertools.groupby(sides[2:]))  # without the probes
    assert turns == "ABABA"  # A B, B A, A B, B A


def test_a_round_without_an_answer_makes_a_ratio_unknown() -> None:
    silent = with_latency(dataclasses.replace(ROW, throughput=0.0))
    throughput, p50, p99 = compare_rows([ROW, ROW], [ROW, silent])
    assert (throughput.value, p50.value, p99.value) == (None, None, None)
