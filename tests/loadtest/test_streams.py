import asyncio
import dataclasses

import pytest
from rich.console import Console

from loadtest.clients.stream import StreamFigures
from loadtest.fake import FakeServer, Reply
from loadtest.progress import Progress
from loadtest.session import Setup, open_session
from loadtest.streams import Cast, run_streams, sum_up_cameras


async def test_every_number_of_cameras_has_a_row_with_its_fairness(fake: FakeServer, setup: Setup) -> None:
    fake.script = lambda _: Reply(delay=0.01)
    target = dataclasses.replace(setup.target, transport="grpc", port=fake.grpc_port)
    over_grpc = dataclasses.replace(setup, target=target)
    async with open_session(
        over_grpc, progress=Progress(Console(quiet=True)), stop=asyncio.Event()
    ) as session:
        outcome = await run_streams(session, Cast((1, 3), fps=10, policy="all"), seconds=1)

    one, three = outcome.rows
    assert (one.name, three.name) == ("1 x 10/s", "3 x 10/s")
    assert (one.offered, three.offered) == (10, 30)
    assert one.cameras is not None
    assert three.cameras is not None
    assert (one.cameras.count, three.cameras.count) == (1, 3)
    assert three.cameras.fairness > 0.5
    assert three.answered > 1.8 * one.answered
    assert one.errors == three.errors == {}


@pytest.mark.parametrize(("answered", "fairness"), [((10, 10), 1.0), ((10, 0), 0.0), ((0, 0), 0.0)])
def test_fairness_is_the_slowest_over_the_fastest(answered: tuple[int, int], fairness: float) -> None:
    cameras = sum_up_cameras([StreamFigures(count, 2, 1) for count in answered])
    assert (cameras.fairness, cameras.dropped, cameras.skipped) == (fairness, 4, 2)
