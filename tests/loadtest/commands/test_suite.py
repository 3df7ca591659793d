from dataclasses import replace

from loadtest.commands.suite import Pace, check_memory
from loadtest.measurement.fake_server import FakeServer
from loadtest.measurement.harness import Setup, open_harness
from tests.loadtest.commands.test_soak import count_asked, list_two
from tests.loadtest.rows import make_stage


async def test_memory_is_watched_over_so_many_requests_of_all_models_and_errors(
    fake: FakeServer, setup: Setup
) -> None:
    list_two(fake)
    async with open_harness(replace(setup, requests=400), make_stage()) as harness:
        found = await check_memory(harness, Pace(load=1, soak=3600, stage=1))
    (row,) = found.rows
    assert row.name == "400 mixed requests"
    assert {b"large", b"small", b"no-such-model"} < set(count_asked(fake))
    assert len(found.series[0].values) > 1, "the requests end long before the time, and looks follow them"
    assert [finding.value is not None for finding in found.findings] == [True, True]
