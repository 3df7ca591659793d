import asyncio
from dataclasses import replace

from rich.console import Console

from loadtest.checks import Pace, check_memory
from loadtest.fake import FakeServer
from loadtest.progress import Progress
from loadtest.session import Setup, open_session
from tests.loadtest.test_mixture import count_asked, list_two


async def test_memory_is_watched_over_so_many_requests_of_all_models_and_errors(
    fake: FakeServer, setup: Setup
) -> None:
    list_two(fake)
    progress = Progress(Console(quiet=True))
    async with open_session(replace(setup, requests=400), progress=progress, stop=asyncio.Event()) as session:
        found = await check_memory(session, Pace(load=1, soak=3600, stage=1))
    (row,) = found.rows
    assert row.name == "400 mixed requests"
    assert {b"large", b"small", b"no-such-model"} < set(count_asked(fake))
    assert len(found.series[0].values) > 1, "looks go by the requests where those end sooner than the time"
    assert [finding.value is not None for finding in found.findings] == [True, True]
