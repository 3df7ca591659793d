"""SegmentStream over a real channel."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.generated import segmentation_pb2_grpc as pb_grpc
from service.serving.engine import Engine
from tests.fakes import FakeModel, Gate, encode_picture
from tests.running import PATIENCE_S

PICTURE = encode_picture(60, 30)


def frame(number: int, image: bytes = PICTURE) -> pb.Frame:
    return pb.Frame(frame_id=number, capture_time_us=number * 1000, image=image)


def every_frame() -> pb.Frame:
    """A first message that asks for an answer to every frame."""
    return pb.Frame(options=pb.StreamOptions(policy=pb.FRAME_POLICY_ALL))


async def answers(stub: pb_grpc.SegmentationServiceStub, *frames: pb.Frame) -> list[pb.FrameResult]:
    return [result async for result in stub.SegmentStream(iter(frames))]


async def refusal(stub: pb_grpc.SegmentationServiceStub, first: pb.Frame) -> grpc.aio.AioRpcError:
    """The end of a stream by its first message; grpcio says INTERNAL if it is still sending then."""
    call = stub.SegmentStream()
    await call.write(first)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    return caught.value


async def test_frames_are_answered_in_order_with_what_they_came_with(
    stub: pb_grpc.SegmentationServiceStub,
) -> None:
    results = await answers(stub, every_frame(), *map(frame, range(5)))
    assert [(result.frame_id, result.capture_time_us) for result in results] == [
        (n, n * 1000) for n in range(5)
    ]
    for result in results:
        assert len(result.response.instances) == 1
        assert result.age_ms > 0
        assert result.dropped == 0


async def test_a_stream_without_frames_just_ends(stub: pb_grpc.SegmentationServiceStub) -> None:
    assert await answers(stub) == []


async def test_a_client_learns_how_large_a_message_may_be_before_its_first_frame(
    stub: pb_grpc.SegmentationServiceStub,
) -> None:
    call = stub.SegmentStream()
    await call.write(every_frame())
    headers = dict(await call.initial_metadata())
    most = int(headers["x-max-message-bytes"])
    largest = frame(1, PICTURE)
    largest.image += bytes(most - largest.ByteSize() - 1)
    assert most - 2 <= largest.ByteSize() <= most
    await call.write(largest)
    assert (await call.read()).frame_id == 1
    await call.write(frame(2, bytes(most + 1)))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_the_first_message_may_only_configure(stub: pb_grpc.SegmentationServiceStub) -> None:
    asked = pb.StreamOptions(segment=pb.SegmentOptions(model="other", score_threshold=0.99))
    asked.policy = pb.FRAME_POLICY_ALL
    results = await answers(stub, pb.Frame(options=asked), frame(1), frame(2))
    assert [result.frame_id for result in results] == [1, 2]
    assert [len(result.response.instances) for result in results] == [0, 0]
    assert {result.response.model for result in results} == {"other"}


async def test_the_first_frame_may_carry_the_options_for_all(stub: pb_grpc.SegmentationServiceStub) -> None:
    first = frame(1)
    first.options.segment.masks = pb.MASK_FORMAT_NONE
    first.options.policy = pb.FRAME_POLICY_ALL
    results = await answers(stub, first, frame(2))
    assert [result.response.instances[0].WhichOneof("segmentation") for result in results] == [None, None]


async def test_a_bad_frame_is_answered_with_its_error_and_the_stream_goes_on(
    stub: pb_grpc.SegmentationServiceStub, engine: Engine
) -> None:
    late = frame(4)
    late.options.segment.model = "other"
    results = await answers(
        stub, every_frame(), frame(1), frame(2, b"text"), frame(3, b""), late, pb.Frame(frame_id=5), frame(6)
    )
    assert [result.WhichOneof("outcome") for result in results] == ["response", *["error"] * 4, "response"]
    assert [result.frame_id for result in results] == [1, 2, 3, 4, 5, 6]
    assert {result.error.code for result in results[1:5]} == {grpc.StatusCode.INVALID_ARGUMENT.value[0]}
    assert results[2].error.message == "the frame has no image: 0 bytes"
    assert results[3].error.message == "options belong into the stream's first message"
    text = engine.metrics.exposition().decode()
    assert 'requests_total{method="SegmentStream/frame",outcome="ok",transport="grpc"} 2.0' in text
    assert 'requests_total{method="SegmentStream/frame",outcome="InvalidImage",transport="grpc"} 3.0' in text
    assert 'requests_total{method="SegmentStream/frame",outcome="InvalidOption",transport="grpc"} 1.0' in text


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (pb.StreamOptions(segment=pb.SegmentOptions(model="none")), "NOT_FOUND"),
        (pb.StreamOptions.FromString(b"\xa0\x06\x01"), "INVALID_ARGUMENT"),
        (pb.StreamOptions.FromString(b"\x10\x63"), "INVALID_ARGUMENT"),
        (pb.StreamOptions.FromString(b"\x28\x63"), "INVALID_ARGUMENT"),
        (pb.StreamOptions(max_fps=0), "INVALID_ARGUMENT"),
        (pb.StreamOptions(track=True, track_memory_s=-1), "INVALID_ARGUMENT"),
        (pb.StreamOptions(track_threshold=2), "INVALID_ARGUMENT"),
        (pb.StreamOptions(segment=pb.SegmentOptions.FromString(b"\x30\x63")), "INVALID_ARGUMENT"),
    ],
)
async def test_options_that_cannot_hold_end_the_stream(
    stub: pb_grpc.SegmentationServiceStub, options: pb.StreamOptions, code: str
) -> None:
    assert (await refusal(stub, pb.Frame(options=options))).code().name == code


async def test_a_frame_may_be_raw_pixels(stub: pb_grpc.SegmentationServiceStub) -> None:
    size = pb.ImageSize(height=30, width=60)
    good = pb.RawImage(format=pb.RAW_FORMAT_I420, size=size, data=bytes(2700))
    results = await answers(
        stub,
        every_frame(),
        pb.Frame(frame_id=1, raw=good),
        pb.Frame(frame_id=2, raw=pb.RawImage(format=pb.RAW_FORMAT_BGR, size=size, data=bytes(2700))),
        pb.Frame(frame_id=3, raw=pb.RawImage(size=size, data=bytes(5400))),
        pb.Frame(frame_id=4, raw=pb.RawImage(format=pb.RAW_FORMAT_RGB)),
    )
    assert results[0].response.image == size
    errors = [result.error.message for result in results[1:]]
    assert errors == [
        "60 x 30 bgr is 5400 bytes without padding, got 2700",
        "raw.format is 0, which this service does not know",
        "the raw image's size is 0 x 0 pixels",
    ]


async def test_a_capture_time_of_zero_is_one_and_none_is_none(stub: pb_grpc.SegmentationServiceStub) -> None:
    results = await answers(stub, every_frame(), frame(0), pb.Frame(frame_id=1, image=PICTURE))
    assert [result.HasField("capture_time_us") for result in results] == [True, False]


async def test_instances_are_given_identities(stub: pb_grpc.SegmentationServiceStub) -> None:
    first = every_frame()
    first.options.track = True
    results = await answers(stub, first, *map(frame, range(3)))
    found = [result.response.instances[0] for result in results]
    assert [one.HasField("track_id") for one in found] == [False, True, True]
    assert {one.track_id for one in found[1:]} == {1}


async def test_more_streams_than_allowed_are_told_to_come_later(
    stub: pb_grpc.SegmentationServiceStub, engine: Engine
) -> None:
    engine.max_streams = 1
    first = stub.SegmentStream()
    await first.write(frame(1))
    await first.read()
    refused = await refusal(stub, frame(1))
    assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "all 1 streams are taken" in str(refused.details())
    await first.done_writing()
    assert await first.read() == grpc.aio.EOF
    assert len(await answers(stub, frame(1))) == 1


async def test_five_hundred_broken_streams_leave_nothing_behind(
    channel: grpc.aio.Channel, stub: pb_grpc.SegmentationServiceStub, engine: Engine
) -> None:
    for number in range(500):
        call = stub.SegmentStream()
        await call.write(frame(number))
        await call.write(frame(number))
        if number % 2:
            await call.read()
        call.cancel()
    async with asyncio.timeout(60):
        while engine.streams or engine.admission.running or engine.admission.waiting:
            await asyncio.sleep(0.001)
    assert len(await answers(stub, frame(1))) == 1


class TestHeld:
    @pytest.fixture
    def gate(self) -> Gate:
        return Gate()

    @pytest.fixture
    def model(self, gate: Gate) -> FakeModel:
        return FakeModel(before=gate)

    async def test_when_the_service_stops_what_was_begun_is_answered_and_the_stream_ends(
        self, stub: pb_grpc.SegmentationServiceStub, engine: Engine, gate: Gate
    ) -> None:
        call = stub.SegmentStream()
        await call.write(frame(1))
        await gate.reached()
        engine.stop()
        gate.open()
        assert (await call.read()).frame_id == 1
        with pytest.raises(grpc.aio.AioRpcError, match="the service is stopping") as caught:
            await call.read()
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE

    async def test_a_stream_that_idles_ends_when_the_service_stops(
        self, stub: pb_grpc.SegmentationServiceStub, engine: Engine, gate: Gate
    ) -> None:
        gate.open()
        call = stub.SegmentStream()
        await call.write(frame(1))
        assert (await call.read()).frame_id == 1
        engine.stop()
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()

    async def test_a_frame_of_a_client_that_is_gone_is_not_computed(
        self, stub: pb_grpc.SegmentationServiceStub, engine: Engine, gate: Gate, model: FakeModel
    ) -> None:
        first = stub.Segment(pb.SegmentRequest(image=PICTURE))
        await gate.reached()
        stream = stub.SegmentStream()
        await stream.write(frame(1))
        async with asyncio.timeout(PATIENCE_S):
            while not engine.admission.waiting_frames:
                await asyncio.sleep(0.001)
            stream.cancel()
            while engine.admission.waiting_frames:
                await asyncio.sleep(0.001)
        gate.open()
        await first
        assert len(model.seen) == 1

    async def test_a_newer_frame_takes_the_place_of_the_one_that_waits(
        self, stub: pb_grpc.SegmentationServiceStub, gate: Gate, model: FakeModel
    ) -> None:
        call = stub.SegmentStream()
        await call.write(frame(1))
        await gate.reached()
        for number in range(2, 101):
            await call.write(frame(number))
        await call.done_writing()
        gate.open()
        results = [result async for result in call]
        assert results[-1].frame_id == 100
        assert results[-1].dropped == 100 - len(results)
        assert len(model.seen) == len(results)

    async def test_a_server_that_is_asked_for_all_frames_and_is_behind_stops_reading(
        self, stub: pb_grpc.SegmentationServiceStub, gate: Gate
    ) -> None:
        """Flow control holds the writer back, so that a fast client does not fill the server's memory."""
        sent, stalled = 0, asyncio.Event()

        async def endless() -> AsyncIterator[pb.Frame]:
            nonlocal sent
            yield every_frame()
            while True:
                sent += 1
                watch.reschedule(asyncio.get_running_loop().time() + 1)
                yield frame(sent, PICTURE + bytes(90_000))

        call = stub.SegmentStream(endless())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10) as watch:  # one second without a write
                await stalled.wait()
        assert 0 < sent < 1000
        gate.open()
        assert (await call.read()).frame_id == 1
        call.cancel()


def one_a_lifetime() -> pb.Frame:
    """A first message that asks for an answer to every frame, one frame in 30 years."""
    return pb.Frame(options=pb.StreamOptions(policy=pb.FRAME_POLICY_ALL, max_fps=1e-9))


async def test_a_stream_that_waits_for_its_pace_ends_with_its_client(
    stub: pb_grpc.SegmentationServiceStub, engine: Engine
) -> None:
    call = stub.SegmentStream()
    for message in (one_a_lifetime(), *map(frame, range(8))):
        await call.write(message)
    await call.read()
    assert engine.streams == 1
    call.cancel()
    async with asyncio.timeout(PATIENCE_S):
        while engine.streams:
            await asyncio.sleep(0.001)


async def read_to_the_end(call: "grpc.aio.StreamStreamCall[pb.Frame, pb.FrameResult]") -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


async def test_a_stream_that_waits_for_its_pace_ends_with_the_service(
    stub: pb_grpc.SegmentationServiceStub, engine: Engine
) -> None:
    call = stub.SegmentStream()
    for message in (one_a_lifetime(), *map(frame, range(8))):
        await call.write(message)
    first = await call.read()
    engine.stop()
    with pytest.raises(grpc.aio.AioRpcError, match="the service is stopping"):
        await read_to_the_end(call)
    assert first.frame_id == 0
    assert engine.streams == 0
