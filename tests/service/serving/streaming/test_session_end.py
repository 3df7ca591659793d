"""The ends of a session: cut cables, clients that leave or do nothing, a service that stops."""

import asyncio
import gc
import weakref

import pytest

from service.errors import DeadlineExceeded
from service.serving.streaming import Policy, StreamEnds, StreamOptions, StreamSession
from tests.service.serving.streaming.stage import ALL, LATEST, FakeWorkers, Stage, settle

NEVER_AGAIN = StreamOptions(policy="all", max_fps=1e-9)  # a second frame would have its turn in 30 years


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


@pytest.mark.slow
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


async def test_a_stop_ends_a_session_that_waits_for_its_next_frame() -> None:
    ends = StreamEnds()
    stage = Stage(FakeWorkers(slots=1), ends=ends)
    await stage.show(b"1")
    await stage.workers.finish()
    ends.stop.set()
    await stage.task
    assert stage.answers == ["1"]


async def test_a_stop_answers_what_was_read_without_regard_for_the_pace() -> None:
    ends = StreamEnds()
    stage = Stage(FakeWorkers(slots=1), NEVER_AGAIN, ends=ends)
    await stage.show(b"1", b"2", b"3", b"4")
    await stage.workers.finish()
    assert (stage.answers, stage.read) == (["1"], 3)
    ends.stop.set()
    await settle()
    while stage.workers.begun:
        await stage.workers.finish()
    await stage.task
    assert (stage.answers, stage.read) == (["1", "2", "3"], 3)


async def test_a_client_that_sends_nothing_is_told_so() -> None:
    stage = Stage(FakeWorkers(slots=1), ends=StreamEnds(idle_s=0.01))
    with pytest.raises(DeadlineExceeded, match=r"nothing came over this stream for 0\.01 seconds"):
        await stage.task


async def test_a_client_that_takes_no_result_is_told_so() -> None:
    stage = Stage(FakeWorkers(slots=1), ends=StreamEnds(idle_s=0.01))
    stage.reading.clear()
    await stage.show(b"1", None)
    await stage.workers.finish()
    with pytest.raises(DeadlineExceeded, match=r"the client took no result for 0\.01 seconds"):
        await stage.task


@pytest.mark.parametrize("options", [ALL, NEVER_AGAIN])
async def test_a_stream_whose_frames_cannot_begin_ends(options: StreamOptions) -> None:
    stage = Stage(FakeWorkers(slots=1), options, ends=StreamEnds(idle_s=0.01))
    if options is ALL:
        stage.workers.hold()
    await stage.show(b"1", b"2", b"3", b"4")
    while stage.workers.begun:
        await stage.workers.finish()
    with pytest.raises(DeadlineExceeded, match=r"no frame of this stream could begin for 0\.01 seconds"):
        await stage.task


@pytest.mark.parametrize("options", [ALL, LATEST, NEVER_AGAIN])
@pytest.mark.parametrize("reads", [True, False])
async def test_a_session_ends_with_its_client_whatever_it_waits_for(
    options: StreamOptions, reads: bool
) -> None:
    hung_up = asyncio.Event()

    async def watch() -> None:
        await hung_up.wait()
        raise ConnectionResetError("the client is gone")

    stage = Stage(FakeWorkers(slots=1), options, ends=StreamEnds(watch=watch))
    if not reads:
        stage.reading.clear()
    await stage.show(*[b"1"] * 8)
    await stage.workers.finish()
    assert not stage.task.done()
    hung_up.set()
    with pytest.raises(ConnectionResetError):
        await stage.task


async def test_the_watch_of_a_client_ends_with_the_session() -> None:
    watching = asyncio.Event()

    async def watch() -> None:
        watching.set()
        await asyncio.Event().wait()

    stage = Stage(FakeWorkers(slots=1), ends=StreamEnds(watch=watch))
    await stage.show(None)
    await stage.task
    assert watching.is_set()
