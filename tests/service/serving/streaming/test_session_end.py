"""Cut cables, clients that leave, and what is left of them."""

import asyncio
import gc
import weakref

import pytest

from service.serving.streaming import Policy, StreamOptions, StreamSession
from tests.service.serving.streaming.stage import ALL, LATEST, FakeWorkers, Stage, settle


@pytest.mark.parametrize("policy", ["latest", "all"])
async def test_a_cut_cable_ends_the_session_and_loses_no_slot(policy: Policy) -> None:
    stage = Stage(FakeWorkers(slots=2), StreamOptions(policy=policy))
    for picture in (b"1", b"broken", b"3", ConnectionError("the cable is cut")):
        await stage.show(picture)
    with pytest.raises(ConnectionError, match="the cable is cut"):
        await stage.task
    while stage.workers.begun:
        await stage.workers.finish()
    assert stage.results == []
    assert stage.workers.idle


async def test_a_client_that_is_gone_when_it_should_be_answered_ends_the_session() -> None:
    stage = Stage(FakeWorkers(slots=2))
    stage.gone = True
    for name in (b"1", b"broken", b"3"):
        await stage.show(name)
    await stage.workers.finish()
    with pytest.raises(BrokenPipeError):
        await stage.task
    while stage.workers.begun:
        await stage.workers.finish()
    assert stage.workers.idle


async def test_a_session_cancelled_while_it_waits_for_a_slot_takes_none() -> None:
    workers = FakeWorkers(slots=1)
    workers.hold()
    stage = Stage(workers)
    await stage.show(b"1")
    await stage.stop()
    workers.release()
    assert workers.idle
    assert not workers.begun


async def test_five_hundred_streams_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    workers = FakeWorkers(slots=2)
    sessions = weakref.WeakSet[StreamSession]()
    before = len(asyncio.all_tasks())
    for number in range(500):
        stage = Stage(workers, ALL if number % 2 else LATEST)
        sessions.add(stage.session)
        await stage.show(b"1", b"broken", b"3", ConnectionError("cut") if number % 3 else None)
        if number % 5:
            await stage.stop()
        while workers.begun:
            await workers.finish()
        await stage.finished()
    del stage
    await settle()
    gc.collect()
    assert workers.idle
    assert len(asyncio.all_tasks()) == before
    assert not sessions
    assert caplog.messages == []  # asyncio complains there of errors that nobody looked at
