"""The stream client, over a connection that breaks where a test wants it to."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import cv2
import numpy as np
import pytest

from service.camera.output import AnsweredFrame
from service.camera.source import Retry
from service.camera.stream_client import IN_FLIGHT, StreamClient, StreamRequest, encode_frame
from service.errors import BlitzError, ModelNotFound, Overloaded, RequestError, Unavailable
from service.serving.streaming import Frame, FrameResult, Policy, RawImage, StreamOptions
from service.serving.streaming.frame import FrameSlot
from service.types import Segmentation, Size
from tests.service.camera.conftest import FakeClock, frame, result

Script = Callable[[AsyncIterable[Frame]], AsyncGenerator[FrameResult, None]]


class FakeClient:
    """Each connection plays the next script."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.asked: list[tuple[StreamOptions, str | None, str | None]] = []

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["FakeClient"]:
        yield self

    def stream(
        self, frames: AsyncIterable[Frame], options: StreamOptions, *, model: str | None, version: str | None
    ) -> AsyncGenerator[FrameResult, None]:
        self.asked.append((options, model, version))
        return self.scripts.pop(0)(frames)


async def answer_all(frames: AsyncIterable[Frame]) -> AsyncGenerator[FrameResult, None]:
    async for each in frames:
        yield result(each.id, 1)


def breaks_after(count: int, error: BlitzError) -> Script:
    """Answers some frames, reads one more, and breaks."""

    async def script(frames: AsyncIterable[Frame]) -> AsyncGenerator[FrameResult, None]:
        seen = 0
        async for each in frames:
            if seen == count:
                raise error
            seen += 1
            yield result(each.id, seen)

    return script


async def drive(
    client: FakeClient, count: int, clock: FakeClock, retry: Retry, *, policy: Policy = "all"
) -> list[AnsweredFrame]:
    """The answers to `count` frames."""
    slot = FrameSlot(policy)
    request = StreamRequest(StreamOptions(policy=policy), "toy", "1")
    sender = StreamClient(client.connect, request, slot=slot, clock=clock, retry=retry)

    async def fill() -> None:
        for number in range(count):
            await slot.put(frame(number))
        slot.end()

    filling = asyncio.create_task(fill())
    try:
        return [answered async for answered in sender.results()]
    finally:
        filling.cancel()


def identities(answered: list[AnsweredFrame]) -> list[int | None]:
    outcomes = [each.result.outcome for each in answered]
    return [one.track_id for found in outcomes if isinstance(found, Segmentation) for one in found.instances]


async def test_frames_come_back_with_their_results(
    clock: FakeClock, retry: Retry, reported: list[str]
) -> None:
    client = FakeClient(answer_all)
    answered = await drive(client, 3, clock, retry)
    assert [(each.frame.id, each.result.id, each.result.dropped) for each in answered] == [
        (0, 0, 0),
        (1, 1, 0),
        (2, 2, 0),
    ]
    assert client.asked == [(StreamOptions(policy="all"), "toy", "1")]
    assert reported == []


async def test_what_a_lost_server_has_not_answered_is_sent_again(
    clock: FakeClock, retry: Retry, reported: list[str]
) -> None:
    client = FakeClient(
        breaks_after(2, Unavailable("it is gone")), breaks_after(0, Overloaded("it is full")), answer_all
    )
    answered = await drive(client, 5, clock, retry)
    assert [each.result.id for each in answered] == [0, 1, 2, 3, 4]
    assert [text.partition(";")[0] for text in reported] == ["it is gone", "it is full"]
    assert [0 < wait <= longest for wait, longest in zip(clock.waits, (0.25, 0.5), strict=True)] == [
        True,
        True,
    ]


async def test_of_the_latest_only_those_that_come_after_the_loss_are_sent(
    clock: FakeClock, retry: Retry, reported: list[str]
) -> None:
    slot = FrameSlot("latest")
    client = FakeClient(breaks_after(1, Unavailable("it is gone")), answer_all)
    sender = StreamClient(client.connect, StreamRequest(StreamOptions()), slot=slot, clock=clock, retry=retry)
    results = sender.results()
    await slot.put(frame(0))
    assert (await anext(results)).frame.id == 0
    await slot.put(frame(1))  # the client reads it, and then the connection is lost
    upcoming = asyncio.ensure_future(anext(results))
    while not reported:
        await asyncio.sleep(0)
    await slot.put(frame(2))
    answered = await upcoming
    assert (answered.frame.id, answered.result.dropped) == (2, 1)
    await results.aclose()


async def test_identities_go_on_above_those_of_before_the_loss(clock: FakeClock, retry: Retry) -> None:
    client = FakeClient(
        breaks_after(3, Unavailable("gone")), breaks_after(1, Unavailable("gone")), answer_all
    )
    answered = await drive(client, 6, clock, retry)
    assert identities(answered) == [1, 2, 3, 4, 5, 5]


async def test_a_server_that_ends_the_stream_early_is_asked_again(
    clock: FakeClock, retry: Retry, reported: list[str]
) -> None:
    async def ends_early(frames: AsyncIterable[Frame]) -> AsyncGenerator[FrameResult, None]:
        async for each in frames:
            yield result(each.id)
            return

    answered = await drive(FakeClient(ends_early, answer_all), 3, clock, retry)
    assert [each.result.id for each in answered] == [0, 1, 2]
    assert reported[0].startswith("the server ended the stream; trying again in 0.")


@pytest.mark.parametrize("error", [RequestError("what is a unicorn?"), ModelNotFound("no such model")])
async def test_what_the_server_refuses_for_good_is_raised(
    clock: FakeClock, retry: Retry, error: BlitzError
) -> None:
    with pytest.raises(type(error), match=str(error)):
        await drive(FakeClient(breaks_after(0, error)), 3, clock, retry)
    assert clock.waits == []


async def test_drops_are_counted_whoever_drops(clock: FakeClock, retry: Retry) -> None:
    async def answer_some(frames: AsyncIterable[Frame]) -> AsyncGenerator[FrameResult, None]:
        async for each in frames:
            if each.id in (1, 4):
                yield replace(result(each.id), dropped=99)

    answered = await drive(FakeClient(answer_some), 5, clock, retry)
    assert [(each.frame.id, each.result.dropped) for each in answered] == [(1, 1), (4, 3)]


async def test_ages_count_from_when_the_frame_was_taken(clock: FakeClock, retry: Retry) -> None:
    clock.time = 2.5
    (answered,) = await drive(FakeClient(answer_all), 1, clock, retry)
    assert answered.result.age_ms == 2500


async def test_only_few_frames_are_under_way(clock: FakeClock, retry: Retry) -> None:
    most = 0

    async def answer_when_nothing_more_comes(
        frames: AsyncIterable[Frame],
    ) -> AsyncGenerator[FrameResult, None]:
        nonlocal most
        sent: asyncio.Queue[Frame] = asyncio.Queue()

        async def pull() -> None:
            async for each in frames:
                sent.put_nowait(each)

        pulling = asyncio.create_task(pull())
        for _ in range(3 * IN_FLIGHT):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(pulling), 0.02)
            most = max(most, sent.qsize())
            yield result((await sent.get()).id)

    answered = await drive(FakeClient(answer_when_nothing_more_comes), 3 * IN_FLIGHT, clock, retry)
    assert len(answered) == 3 * IN_FLIGHT
    assert most == IN_FLIGHT


def test_raw_pixels_are_sent_as_a_jpeg_of_the_same_picture() -> None:
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:, :24] = (255, 0, 0)
    encoded = encode_frame(frame(7, captured=1.5, picture=RawImage("bgr", Size(32, 48), pixels.tobytes())))
    assert (encoded.id, encoded.captured_us) == (7, 1_500_000)
    assert isinstance(encoded.picture, bytes)
    decoded = cv2.imdecode(np.frombuffer(encoded.picture, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert np.abs(decoded[:, [4, 40]].astype(int) - pixels[:, [4, 40]]).max() < 6


def test_an_encoded_picture_is_sent_as_it_is() -> None:
    assert encode_frame(frame(1, picture=b"jpeg")) == frame(1, picture=b"jpeg")
