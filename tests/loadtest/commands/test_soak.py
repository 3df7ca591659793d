"""Soaks find a server that grows; mixed ones ask all models, and now and then one that does not exist."""

import dataclasses
import itertools
from collections import Counter
from dataclasses import replace

import pytest

from loadtest.commands import soak
from loadtest.commands.soak import measure_growth, open_mixed_clients, run_soak
from loadtest.generators.photos import mixed_photos, sniff_media_type
from loadtest.measurement.fake_server import GOOD_JSON, FakeServer, Reply
from loadtest.measurement.harness import Setup, open_harness
from loadtest.measurement.host_stats import ProcessUse
from loadtest.types import Ask, Photo
from tests.loadtest.rows import make_stage


async def test_a_server_that_leaks_is_found_out(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = (100.0 * 1.1**look for look in itertools.count())
    monkeypatch.setattr(soak, "measure_use", lambda _: ProcessUse(1.0, next(memory), 20))
    async with open_harness(setup, make_stage()) as harness:
        outcome = await run_soak(harness, 2, seconds=2)
    grown, descriptors = outcome.findings
    assert (grown.name, grown.met) == ("memory growth", False)
    assert grown.value is not None
    assert grown.value > 5
    assert (descriptors.name, descriptors.value, descriptors.met) == ("descriptor growth", 0, True)
    assert outcome.series[0].values[-1] > 1.1 * outcome.series[0].values[0]
    assert outcome.rows[0].answered > 0


async def test_a_server_whose_processes_are_hidden_still_has_a_row(setup: Setup) -> None:
    async with open_harness(setup, make_stage()) as harness:
        harness.server_pids = ()
        outcome = await run_soak(harness, 1, seconds=0.3)
    assert len(outcome.rows) == 1
    assert outcome.findings == ()
    assert "are hidden" in harness.notes[0]


@pytest.mark.parametrize(
    ("values", "growth"),
    [
        ([100.0] * 10, 0.0),
        ([50, 80, 100, 100, 100, 100, 100, 100, 100, 100], 0.0),  # warm-up
        ([100, 100, 100, 100, 110, 120, 130, 140, 150, 150], 0.5),
        ([100, 100, 100, 100, 100, 500, 100, 100, 100, 100], 0.0),  # one peak
        ([100.0], 0.0),
    ],
)
def test_growth_is_the_last_fifth_over_the_second(values: list[float], growth: float) -> None:
    assert measure_growth(values) == pytest.approx(growth, abs=0.01)


async def test_a_mixed_soak_has_faults_and_counts_its_good_answers(setup: Setup) -> None:
    named = dataclasses.replace(setup, target=dataclasses.replace(setup.target, ask=Ask("fake")))
    async with open_harness(named, make_stage()) as harness:
        outcome = await run_soak(harness, 2, seconds=0.5, mixed=True)
    (row,) = outcome.rows
    assert row.answered > 0


LISTED = b'{"models": [{"name": "large"}, {"name": "small"}]}'


def list_two(fake: FakeServer) -> None:
    """Makes the fake server list two models, and answer after 10 ms."""
    fake.script = lambda number: Reply(
        body=LISTED if fake.heads[number].startswith(b"GET /v1/models ") else GOOD_JSON, delay=0.01
    )


def count_asked(fake: FakeServer) -> Counter[bytes]:
    """The number of requests by model."""
    paths = (head.split(b" ")[1] for head in fake.heads)
    return Counter(path.partition(b"?model=")[2] for path in paths if path.startswith(b"/v1/segment"))


async def test_all_models_are_asked_alike_and_an_absent_one_in_a_request_of_ten(
    fake: FakeServer, setup: Setup, photo: Photo
) -> None:
    list_two(fake)
    async with open_mixed_clients(setup.target, 2) as clients:
        for _ in range(20):
            for client in clients:
                await client.send(photo)
    assert count_asked(fake) == {b"large": 18, b"small": 18, b"no-such-model": 4}


async def test_a_named_model_is_the_only_one_asked(fake: FakeServer, setup: Setup, photo: Photo) -> None:
    target = replace(setup.target, ask=Ask("small"))
    async with open_mixed_clients(target, 1) as (client,):
        for _ in range(10):
            await client.send(photo)
    assert count_asked(fake) == {b"small": 9, b"no-such-model": 1}


def test_photos_of_many_sizes_are_pictures() -> None:
    photos = mixed_photos()
    assert len({photo.data for photo in photos}) == len(photos) > 3
    assert {sniff_media_type(photo.data) for photo in photos} == {"image/jpeg"}
