import asyncio
import time

import pytest

from service.camera.reel import Reel
from service.camera.source import Shot, SourceLost
from service.serving.streaming import Frame, Policy
from tests.service.camera.conftest import RAW, FakeClock, FakeSource, FakeStatus


def shots(*times: float | None) -> list[Shot | SourceLost]:
    return [Shot(RAW, time) for time in times]


async def wind(
    source: FakeSource, clock: FakeClock, status: FakeStatus, policy: Policy = "all"
) -> list[Frame]:
    """Every frame, taken as soon as it waits."""
    reel = Reel(source, policy, clock=clock, status=status)
    running = asyncio.create_task(reel.run(source.open()))
    frames = []
    while await reel.inbox.wait():
        frames.append(reel.inbox.take())
    await running
    return frames


async def test_frames_are_numbered_and_know_when_they_were_taken(
    clock: FakeClock, status: FakeStatus
) -> None:
    frames = await wind(FakeSource([shots(0, 0.5, 1.25)]), clock, status)
    assert [(frame.id, frame.captured_us) for frame in frames] == [(0, 0), (1, 500_000), (2, 1_250_000)]
    assert {frame.picture for frame in frames} == {RAW}
    assert clock.waits == []


async def test_pictures_of_now_carry_the_time_of_day(clock: FakeClock, status: FakeStatus) -> None:
    (frame,) = await wind(FakeSource([shots(None)]), clock, status)
    assert frame.captured_us == pytest.approx(time.time() * 1e6, abs=60e6)


async def test_a_recording_runs_at_its_own_speed_where_only_the_latest_matters(
    clock: FakeClock, status: FakeStatus
) -> None:
    source = FakeSource([shots(0, 0.5, 1.25)])
    reel = Reel(source, "latest", clock=clock, status=status)
    await reel.run(source.open())
    assert clock.time == 1.25
    assert reel.inbox.dropped == 2
    assert reel.inbox.take().id == 2
    assert source.closed == 1


async def test_a_source_that_breaks_off_is_opened_again_with_ever_longer_waits(
    clock: FakeClock, status: FakeStatus
) -> None:
    lost, away = SourceLost("it broke off"), SourceLost("it is away")
    source = FakeSource([[*shots(0, 1), lost], away, away, shots(None)])
    frames = await wind(source, clock, status)
    assert [frame.id for frame in frames] == [0, 1, 2]
    assert source.opened == source.closed == 2
    assert [text.partition(";")[0] for text in status.told] == ["it broke off", "it is away", "it is away"]
    first, second, third = clock.waits
    assert 0.125 <= first <= 0.25 <= 2 * second <= 1 <= 2 * third <= 2


async def test_a_reel_that_is_stopped_lets_go_of_its_source(clock: FakeClock, status: FakeStatus) -> None:
    source = FakeSource([shots(0, 1, 2)])
    reel = Reel(source, "all", clock=clock, status=status)
    running = asyncio.create_task(reel.run(source.open()))
    await reel.inbox.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert source.closed == 1
