"""The frames that are answered, their order, and their times."""

import pytest

from service.errors import InvalidImage, NotReady
from service.serving.streaming import Policy, StreamOptions
from service.serving.streaming.session import AHEAD
from tests.service.serving.streaming.stage import ALL, FakeWorkers, Stage, settle


async def test_a_newer_frame_takes_the_place_of_the_one_that_waits() -> None:
    stage = Stage(FakeWorkers(slots=1))
    await stage.show(b"1")
    await stage.show(b"2", b"3", b"4")
    await stage.workers.finish()
    await stage.show(b"5")
    await stage.workers.finish()
    await stage.workers.finish()
    assert stage.answers == ["1", "4", "5"]
    assert [(result.id, result.dropped) for result in stage.results] == [(1, 2), (4, 2), (5, 2)]
    await stage.stop()


async def test_what_is_begun_is_the_newest_by_the_time_a_slot_is_there() -> None:
    workers = FakeWorkers(slots=1)
    workers.hold()
    stage = Stage(workers)
    for name in (b"1", b"2", b"3"):
        await stage.show(name)
    workers.release()
    await settle()
    await workers.finish()
    assert stage.answers == ["3"]
    await stage.stop()


async def test_every_frame_is_answered_where_that_is_asked_for() -> None:
    stage = Stage(FakeWorkers(slots=1), ALL)
    await stage.show(*(b"%d" % number for number in range(20)), None)
    assert stage.read <= 3  # one at work, one that waits, one in the reader's hands
    while stage.workers.begun:
        await stage.workers.finish()
    assert stage.answers == [str(number) for number in range(20)]
    assert {result.dropped for result in stage.results} == {0}
    assert stage.task.done()


async def test_one_stream_alone_has_all_slots_and_its_answers_in_order() -> None:
    stage = Stage(FakeWorkers(slots=3))
    for name in (b"1", b"2", b"3"):
        await stage.show(name)
    assert len(stage.workers.begun) == 3
    await stage.workers.finish(2)
    await stage.workers.finish(1)
    assert stage.answers == []
    await stage.workers.finish(0)
    assert stage.answers == ["1", "2", "3"]
    await stage.stop()


async def test_streams_take_turns_whatever_their_rates() -> None:
    workers = FakeWorkers(slots=2)
    stages = [Stage(workers) for _ in range(4)]
    for _ in range(40):
        for number, stage in enumerate(stages):
            await stage.show(*[b"1"] * (1 + 5 * number))
        await workers.finish()
    counts = [len(stage.results) for stage in stages]
    assert sum(counts) >= 38
    assert max(counts) - min(counts) <= 2  # the second stream has two frames begun before the others come
    for stage in stages:
        await stage.stop()


async def test_a_slow_stream_among_fast_ones_gets_all_its_frames_answered() -> None:
    workers = FakeWorkers(slots=1)
    slow, *fast = [Stage(workers) for _ in range(3)]
    for number in range(30):
        for stage in fast:
            await stage.show(b"1", b"2")
        if number % 4 == 0:
            await slow.show(b"%d" % number)
        await workers.finish()
    assert slow.answers == [str(number) for number in range(0, 28, 4)]
    assert slow.results[-1].dropped == 0
    for stage in (slow, *fast):
        await stage.stop()


async def test_a_frame_that_fails_is_answered_with_its_error_and_the_stream_goes_on() -> None:
    stage = Stage(FakeWorkers(slots=1), ALL)
    await stage.show(b"1", InvalidImage("no image: 0 bytes"), b"broken", b"4", None)
    while stage.workers.begun:
        await stage.workers.finish()
    assert stage.answers == ["1", "no image: 0 bytes", "a bug", "4"]
    assert stage.task.done()


async def test_a_frame_that_gets_no_slot_is_answered_with_the_reason() -> None:
    stage = Stage(FakeWorkers(slots=1))
    stage.workers.refusal = NotReady("the service is stopping")
    await stage.show(b"1", None)
    assert stage.answers == ["the service is stopping"]
    await stage.task


@pytest.mark.parametrize("policy", ["latest", "all"])
async def test_a_client_that_does_not_read_holds_a_bounded_number_of_frames(policy: Policy) -> None:
    workers = FakeWorkers(slots=2)
    stage, other = Stage(workers, StreamOptions(policy=policy)), Stage(workers)
    stage.reading.clear()
    for _ in range(100):
        await stage.show(b"1")
        while workers.begun:
            await workers.finish()
    assert stage.session.dropped == (100 - AHEAD * 2 - 1 if policy == "latest" else 0)
    assert stage.read <= (100 if policy == "latest" else AHEAD * 2 + 2)
    await other.show(b"1")
    await workers.finish()
    assert other.answers == ["1"]
    stage.reading.set()
    await settle()
    assert len(stage.results) == AHEAD * 2
    for one in (stage, other):
        await one.stop()


async def test_the_end_of_a_stream_waits_for_its_answers() -> None:
    stage = Stage(FakeWorkers(slots=2))
    for name in (b"1", b"2", b"3"):
        await stage.show(name)
    await stage.show(None)
    assert not stage.task.done()
    while stage.workers.begun:
        await stage.workers.finish()
    await stage.task
    assert stage.answers == ["1", "2", "3"]


async def test_a_stream_without_frames_ends_without_results() -> None:
    stage = Stage(FakeWorkers(slots=1))
    await stage.show(None)
    await stage.task
    assert stage.results == []


async def test_no_more_frames_are_begun_than_asked_for() -> None:
    stage = Stage(FakeWorkers(slots=4), StreamOptions(max_fps=10))
    begun = []
    for millisecond in range(0, 2000, 33):  # a camera of 30 fps
        await stage.show(b"%d" % millisecond)
        begun += [millisecond] * len(stage.workers.begun)
        while stage.workers.begun:
            await stage.workers.finish()
        await stage.clock.advance(0.033)
    assert len(stage.results) == pytest.approx(20, abs=1)
    assert max(result.age_ms for result in stage.results) <= 34
    await stage.stop()


async def test_a_result_says_how_old_it_is_and_how_long_it_waited() -> None:
    stage = Stage(FakeWorkers(slots=1))
    await stage.show(b"1")
    await stage.clock.advance(0.010)
    await stage.show(b"2")
    await stage.clock.advance(0.005)
    await stage.workers.finish()
    await stage.clock.advance(0.020)
    await stage.workers.finish()
    first, second = stage.results
    assert (first.age_ms, first.queue_ms) == pytest.approx((15, 0))
    assert (second.age_ms, second.queue_ms) == pytest.approx((25, 5))
    await stage.stop()
