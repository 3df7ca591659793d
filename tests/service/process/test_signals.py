import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from service.process.signals import stop_signals, stopping_signals
from tests.running import PATIENCE_S


@pytest.fixture
def ignored_hangup() -> Iterator[None]:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_asks_to_stop_and_a_second_one_forces_it(number: signal.Signals) -> None:
    with stop_signals(None) as (stop, force):
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), PATIENCE_S)
        assert not force.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(force.wait(), PATIENCE_S)


async def test_the_end_of_the_lifeline_asks_to_stop() -> None:
    lifeline, grip = os.pipe()
    with stop_signals(lifeline) as (stop, force):
        os.close(grip)
        await asyncio.wait_for(stop.wait(), PATIENCE_S)
        assert not force.is_set()
    os.close(lifeline)


def test_a_hangup_that_is_ignored_stays_ignored(ignored_hangup: None) -> None:
    assert stopping_signals() == (signal.SIGTERM, signal.SIGINT)
