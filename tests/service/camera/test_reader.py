import asyncio
import time

import pytest

from service.camera.reader import Reader
from service.camera.retry import Retry
from service.camera.source import Shot, SourceLost
from service.errors import InvalidOption
from service.serving.streaming import Frame
from tests.service.camera.conftest import RAW, FakeClock, FakeSource


def shots(*times: float | None) -> list[Shot | SourceLost]:
    return [Shot(RAW, time) for time in times]


async def wind(
    source: FakeSource, clock: FakeClock, retry: Retry, *, paced: bool = False, patient: bool = False
) -> list[Frame]:
    """Every frame, taken as soon as it waits."""
    reader = Reader(source, "all", clock=clock, retry=retry, paced=paced, patient=patient)
    running = asyncio.create_task(reader.run(source.open()))
    frames = []
    while await reader.slot.wait():
        frames.append(reader.slot.take())
    await running
    return frames


async def test_frames_are_numbered_and_know_when_they_were_taken(clock: FakeClock, retry: Retry) -> None:
    frames = await wind(FakeSource([shots(0, 0.5, 1.25)]), clock, retry)
    assert [(frame.id, frame.captured_us) for frame in frames] == [(0, 0), (1, 500_000), (2, 1_250_000)]
    assert {frame.picture for frame in frames} == {RAW}
    assert clock.waits == []


async def test_pictures_of_now_carry_the_time_of_day(clock: FakeClock, retry: Retry) -> None:
    (frame,) = await wind(FakeSource([shots(None)]), clock, retry)
    assert frame.captured_us == pytest.approx(time.time() * 1e6, abs=60e6)


async def test_a_recording_runs_at_its_own_speed_and_loses_no_frame(clock: FakeClock, retry: Retry) -> None:
    frames = await wind(FakeSource([shots(0, 0.5, 1.25)], live=False), clock, retry, paced=True)
    assert clock.time == 1.25
    assert [frame.id for frame in frames] == [0, 1, 2]


async def test_where_only_the_latest_matters_a_new_frame_replaces_the_one_that_waits(
    clock: FakeClock, retry: Retry
) -> None:
    source = FakeSource([shots(0, 0.5, 1.25)], live=False)
    reader = Reader(source, "latest", clock=clock, retry=retry)
    await reader.run(source.open())
    assert reader.slot.dropped == 2
    assert reader.slot.take().id == 2
    assert source.closed == 1


async def test_a_live_source_that_breaks_off_is_opened_again_with_ever_longer_waits(
    clock: FakeClock, retry: Retry, reported: list[str]
) -> None:
    lost, away = SourceLost("it broke off"), SourceLost("it is away")
    source = FakeSource([[*shots(0, 1), lost], away, away, shots(None)])
    frames = await wind(source, clock, retry)
    assert [frame.id for frame in frames] == [0, 1, 2]
    assert source.opened == source.closed == 2
    assert [text.partition(";")[0] for text in reported] == ["it broke off", "it is away", "it is away"]
    first, second, third = clock.waits
    assert 0.125 <= first <= 0.25 <= 2 * second <= 1 <= 2 * third <= 2


async def test_a_reader_that_is_cancelled_closes_its_source(clock: FakeClock, retry: Retry) -> None:
    source = FakeSource([shots(0, 1, 2)])
    reader = Reader(source, "all", clock=clock, retry=retry)
    running = asyncio.create_task(reader.run(source.open()))
    await reader.slot.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert source.closed == 1


@pytest.mark.parametrize(("live", "patient"), [(False, False), (False, True), (True, False)])
async def test_a_source_that_opens_but_gives_no_picture_is_refused(
    clock: FakeClock, retry: Retry, live: bool, patient: bool
) -> None:
    source = FakeSource([[SourceLost("no picture of it can be decoded")]], live=live)
    reader = Reader(source, "all", clock=clock, retry=retry, patient=patient)
    with pytest.raises(InvalidOption, match="no picture of it can be decoded"):
        await reader.run(source.open())
    assert source.closed == 1


async def test_with_patience_a_live_source_may_give_its_first_picture_later(
    clock: FakeClock, retry: Retry
) -> None:
    source = FakeSource([[SourceLost("not yet")], SourceLost("away"), shots(None)])
    # The test ends the live source as a file ends: by reading nothing more.
    assert len(await wind(source, clock, retry, patient=True)) == 1
