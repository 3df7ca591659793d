import asyncio
import dataclasses
from pathlib import Path

import pytest
from rich.console import Console

from loadtest.clients import OK, Answer
from loadtest.closed import run_closed
from loadtest.fake import FakeServer
from loadtest.floor import FloorRun
from loadtest.progress import Progress
from loadtest.recorder import Recorder
from loadtest.session import Setup, open_session
from loadtest.share import Slice, cut_slice, share_floor
from loadtest.window import Span


def test_every_slice_is_compared_with_the_floors_on_its_two_sides() -> None:
    floors = [FloorRun(100, 10), FloorRun(50, 20), FloorRun(10, 100)]
    found = share_floor([Slice(75, 15), Slice(15, 120)], floors)
    assert found is not None
    assert found.share.estimate == pytest.approx((1 + 0.5) / 2)
    assert found.slowness is not None
    assert found.slowness.estimate == pytest.approx((1 + 2) / 2)
    assert (found.share.low, found.rate) == (None, 50)


def test_a_stolen_second_moves_neither_the_share_nor_its_interval_much() -> None:
    slices = [Slice(rate, 10) for rate in (95, 96, 30, 95, 94, 96, 95)]
    found = share_floor(slices, [FloorRun(100, 10)] * 8)
    assert found is not None
    assert found.share.estimate == pytest.approx(0.95)
    assert found.share.high is not None
    assert found.share.high < 1


def test_without_floors_or_latencies_there_is_nothing_to_compare_with() -> None:
    assert share_floor([Slice(1, 1)], []) is None
    assert share_floor([], [FloorRun(1, 1)]) is None
    found = share_floor([Slice(0, None)], [FloorRun(1, 1)] * 2)
    assert found is not None
    assert (found.share.estimate, found.slowness) == (0, None)


def test_a_slice_has_what_was_answered_within_it() -> None:
    recorder = Recorder()
    for finished in (0.9, 1.5, 2.0, 3.1):
        recorder.add(Answer(OK), started=finished - 0.01, finished=finished)
    found = cut_slice(recorder, Span(1, 2))
    assert found.throughput == 1.0
    assert found.p50_ms == pytest.approx(10)
    assert cut_slice(recorder, Span(5, 2)) == Slice(0.0, None)


async def test_closed_loops_take_turns_with_the_floor(fake: FakeServer, setup: Setup, models: Path) -> None:
    beside = dataclasses.replace(setup, models_dir=models, floor="threads")
    async with open_session(beside, progress=Progress(Console(quiet=True)), stop=asyncio.Event()) as session:
        (row,) = (await run_closed(session, (2,), seconds=3)).rows
    assert row.floor is not None
    assert (len(row.floor.slices), len(row.floor.floors)) == (3, 4)
    assert row.seconds == pytest.approx(3, abs=0.2)
    assert row.throughput == pytest.approx(sum(one.throughput for one in row.floor.slices) / 3, rel=0.01)
    assert len(fake.arrivals) > row.answered  # what filled the server before each slice is not counted
