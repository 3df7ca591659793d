"""Streams, waiting and with asyncio."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import replace

import pytest

from service import errors
from service.client import AsyncRpcClient, RpcClient
from service.rpc.registry import MESSAGE_MARGIN
from service.serving import admission
from service.serving.engine import Engine
from service.serving.streaming import Frame, FrameResult, RawImage, StreamOptions
from service.types import Options, Segmentation, Size
from tests.fakes import FakeModel, encode_picture
from tests.running import PATIENCE_S
from tests.service.client.conftest import MAX_BODY, Addresses

PICTURE = encode_picture(60, 30)
EVERY = StreamOptions(policy="all")


def frame(number: int, picture: bytes = PICTURE) -> Frame:
    return Frame(number, number * 1000, picture)


async def feed(frames: Iterable[Frame]) -> AsyncIterator[Frame]:
    for each in frames:
        yield each


async def collect(
    address: str, frames: Iterable[Frame], options: StreamOptions = EVERY, model: str | None = None
) -> list[FrameResult]:
    async with AsyncRpcClient(address) as client:
        return [result async for result in client.stream(feed(frames), options, model=model)]


async def test_frames_are_answered_with_what_they_came_with(server: Addresses, model: FakeModel) -> None:
    results = await collect(server.rpc, map(frame, range(3)))
    assert [(result.id, result.captured_us, result.dropped) for result in results] == [
        (0, 0, 0),
        (1, 1000, 0),
        (2, 2000, 0),
    ]
    assert {result.outcome for result in results} == {model.segment(PICTURE, Options())}
    assert all(result.age_ms > 0 for result in results)


async def test_the_waiting_client_gives_the_same(server: Addresses, model: FakeModel) -> None:
    def collect_waiting() -> list[FrameResult]:
        with RpcClient(server.rpc) as client:
            return list(client.stream(map(frame, range(3)), EVERY))

    results = await asyncio.to_thread(collect_waiting)
    assert [result.id for result in results] == [0, 1, 2]
    assert {result.outcome for result in results} == {model.segment(PICTURE, Options())}


async def test_options_of_a_stream_reach_the_service(server: Addresses) -> None:
    options = StreamOptions(Options(masks="none"), policy="all", track=True, track_memory=3.0)
    results = await collect(server.rpc, map(frame, range(3)), options, model="other")
    found = [result.outcome for result in results]
    assert all(isinstance(one, Segmentation) for one in found)
    assert [one.instances[0].track_id for one in found if isinstance(one, Segmentation)] == [None, 1, 1]
    assert {one.model for one in found if isinstance(one, Segmentation)} == {"other"}
    doubting = StreamOptions(policy="all", track=True, track_threshold=1.0)
    doubted = [result.outcome for result in await collect(server.rpc, map(frame, range(3)), doubting)]
    assert [one.instances[0].track_id for one in doubted if isinstance(one, Segmentation)] == [None] * 3


@pytest.mark.parametrize(
    ("form", "size", "count"), [("rgb", (4, 6), 72), ("bgr", (3, 5), 45), ("i420", (4, 6), 36)]
)
async def test_raw_pixels_need_no_encoding(
    server: Addresses, form: str, size: tuple[int, int], count: int
) -> None:
    raw = RawImage(form, Size(*size), bytes(count))  # type: ignore[arg-type]  # one of the three
    (result,) = await collect(server.rpc, [Frame(1, None, raw)])
    assert isinstance(result.outcome, Segmentation)
    assert result.outcome.image == Size(*size)
    assert result.captured_us is None


async def test_a_frame_that_fails_is_answered_and_the_stream_goes_on(server: Addresses) -> None:
    results = await collect(server.rpc, [frame(1), frame(2, b"text"), frame(3)])
    assert isinstance(results[1].outcome, errors.RequestError)
    assert [isinstance(result.outcome, Segmentation) for result in results] == [True, False, True]


@pytest.mark.parametrize("kind", ["bytes", "raw"])
async def test_a_frame_larger_than_the_server_takes_fails_alone(server: Addresses, kind: str) -> None:
    raw = RawImage("rgb", Size(300, 300), bytes(270_000))
    huge = Frame(2, 2000, bytes(10 * MAX_BODY) if kind == "bytes" else raw)
    frames = [frame(1), huge, frame(3), replace(huge, id=4), frame(5)]

    def collect_waiting() -> list[FrameResult]:
        with RpcClient(server.rpc) as client:
            return list(client.stream(iter(frames), EVERY))

    for results in (await collect(server.rpc, frames), await asyncio.to_thread(collect_waiting)):
        assert [result.id for result in results] == [1, 2, 3, 4, 5]
        assert [type(result.outcome) for result in results[::2]] == [Segmentation] * 3
        assert results[1].captured_us == 2000
        for result in results[1::2]:
            assert isinstance(result.outcome, errors.ImageTooLarge)
            assert f"at most {MAX_BODY + MESSAGE_MARGIN} are accepted" in str(result.outcome)


async def test_a_stream_that_cannot_begin_says_why(server: Addresses) -> None:
    with pytest.raises(errors.ModelNotFound, match="there is no model none"):
        await collect(server.rpc, [frame(1)], model="none")


async def test_too_many_streams_are_an_overload(server: Addresses, engine: Engine) -> None:
    engine.max_streams = 0
    with pytest.raises(errors.Overloaded):
        await collect(server.rpc, [frame(1)])


async def test_a_refused_call_waits_a_moment(
    server: Addresses, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "REFUSAL_S", 3600)
    async with AsyncRpcClient(server.rpc) as client, asyncio.timeout(PATIENCE_S):
        engine.max_streams = 0
        refused = asyncio.ensure_future(collect(server.rpc, [frame(1)]))
        while b'reason="Overloaded"' not in engine.metrics.exposition():
            await asyncio.sleep(0)
        await client.segment(PICTURE)
    assert not refused.done()
    refused.cancel()


async def test_a_stopping_server_is_unavailable(server: Addresses, engine: Engine) -> None:
    async def endless() -> AsyncIterator[Frame]:
        yield frame(1)
        await asyncio.Event().wait()

    async with AsyncRpcClient(server.rpc) as client:
        results = client.stream(endless(), EVERY)
        assert (await anext(results)).id == 1
        engine.stop()
        with pytest.raises(errors.Unavailable, match="stopping"):
            await anext(results)


async def test_a_stream_that_has_broken_reads_no_more_frames(server: Addresses, engine: Engine) -> None:
    waiting: asyncio.Queue[Frame] = asyncio.Queue()

    async def endless() -> AsyncIterator[Frame]:
        while True:
            yield await waiting.get()

    async with AsyncRpcClient(server.rpc) as client:
        results = client.stream(endless(), EVERY)
        waiting.put_nowait(frame(1))
        await anext(results)
        engine.stop()
        with pytest.raises(errors.Unavailable):
            await anext(results)
        waiting.put_nowait(frame(2))
        with pytest.raises(TimeoutError):  # nobody takes it
            await asyncio.wait_for(waiting.join(), 0.05)
        assert waiting.qsize() == 1


class Broken(Exception):
    pass


async def test_what_goes_wrong_with_the_frames_reaches_the_caller(server: Addresses) -> None:
    def frames() -> Iterator[Frame]:
        yield frame(1)
        raise Broken

    with pytest.raises(Broken):
        await collect(server.rpc, frames())

    def collect_waiting() -> None:
        with RpcClient(server.rpc) as client:
            list(client.stream(frames(), EVERY))

    with pytest.raises(Broken):
        await asyncio.to_thread(collect_waiting)


async def test_a_stream_left_early_is_closed_at_the_server(server: Addresses, engine: Engine) -> None:
    async with AsyncRpcClient(server.rpc) as client:
        results = client.stream(feed(map(frame, range(1000))), EVERY)
        await anext(results)
        assert engine.streams == 1
        await results.aclose()
    while engine.streams:
        await asyncio.sleep(0.001)


async def test_connecting_fails_at_once_where_nobody_listens(server: Addresses) -> None:
    async with AsyncRpcClient(server.rpc) as client:
        await client.connect()
    async with AsyncRpcClient("127.0.0.1:1") as client:
        with pytest.raises(errors.Unavailable, match=r"127\.0\.0\.1:1 is not available: nothing answers"):
            await client.connect()
