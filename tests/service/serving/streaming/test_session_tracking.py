"""Identities across a stream's frames."""

from service.serving.tracking import TrackPolicy
from tests.service.serving.streaming.stage import ALL, FakeWorkers, Stage


async def test_instances_get_identities_in_the_order_of_the_frames() -> None:
    stage = Stage(FakeWorkers(slots=2), ALL, TrackPolicy(confident=0.5, doubtful=0.2), threshold=0.2)
    for score in (0.9, 0.9, 0.3, 0.9):
        await stage.show(b"%.1f" % score)
    assert await stage.identities(4, next_done=-1) == [[None], [1], [1], [1]]
    await stage.stop()


async def test_scores_below_the_threshold_continue_identities_and_are_not_reported() -> None:
    stage = Stage(FakeWorkers(slots=1), ALL, TrackPolicy(confident=0.5, doubtful=0.2), threshold=0.5)
    await stage.show(b"0.3", b"0.6", b"0.5", b"0.4", b"0.3", b"0.5")
    assert await stage.identities(6) == [[], [None], [1], [], [], [1]]
    await stage.stop()


async def test_what_is_wanted_is_there_without_an_identity_where_the_tracker_doubts_it() -> None:
    stage = Stage(FakeWorkers(slots=1), ALL, TrackPolicy(confident=0.5, doubtful=0.25), threshold=0.1)
    await stage.show(b"0.3", b"0.9", b"0.9", b"0.3", b"0.2")
    assert await stage.identities(5) == [[None], [None], [1], [1], [None]]
    await stage.stop()


async def test_tracking_goes_by_the_cameras_clock_where_it_has_one() -> None:
    stage = Stage(FakeWorkers(slots=1), ALL, TrackPolicy(memory=1.0), threshold=0.5)
    stage.captured_us = [1_000_000, 1_100_000, 1_200_000, 9_000_000, 9_100_000]
    await stage.show(b"0.9", b"0.9", b"0.0", b"0.0", b"0.9", None)
    assert await stage.identities(5) == [[None], [1], [], [], [None]]
