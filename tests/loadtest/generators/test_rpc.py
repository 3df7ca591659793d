import asyncio
import time

import grpc
import pytest
import uvloop

from loadtest.generators.recorder import Recorder, Window
from loadtest.generators.rpc import RpcClient, StreamClient, StreamFigures, read_policy
from loadtest.measurement.fake_server import GOOD_MESSAGE, FakeServer, Reply, running
from loadtest.types import OK, Answer, Ask, CannotRun, Photo, Target
from service.rpc.generated import segmentation_pb2 as messages


async def send(port: int, photo: Photo, *, times: int = 1, timeout: float = 5) -> list[Answer]:
    client = RpcClient(Target("grpc", "127.0.0.1", port, Ask("m"), timeout))
    answers = [await client.send(photo) for _ in range(times)]
    await client.close()
    return answers


async def test_a_photo_arrives_with_its_options_and_the_answer_and_stages_come_back(
    fake: FakeServer, photo: Photo
) -> None:
    (answer,) = await send(fake.grpc_port, photo)

    assert (answer.kind, answer.body) == (OK, GOOD_MESSAGE)
    assert answer.stages["decode"] == 1.5
    assert answer.stages["masks"] == 0.0  # a stage that took no time counts in the mean
    request = messages.SegmentRequest.FromString(fake.bodies[0])
    assert (request.image, request.options.model) == (photo.data, "m")


async def test_a_status_is_the_kind_of_the_error_and_the_next_photo_is_answered(
    fake: FakeServer, photo: Photo
) -> None:
    full = Reply(body=b"the queue is full", code=grpc.StatusCode.RESOURCE_EXHAUSTED)
    fake.script = lambda number: full if number == 0 else Reply()

    bad, good = await send(fake.grpc_port, photo, times=2)

    assert (bad.kind, bad.body) == ("RESOURCE_EXHAUSTED", b"the queue is full")
    assert good.kind == OK


async def test_a_late_answer_is_a_deadline(fake: FakeServer, photo: Photo) -> None:
    fake.script = lambda _: Reply(delay=5)
    (answer,) = await send(fake.grpc_port, photo, timeout=0.2)
    assert answer.kind == "DEADLINE_EXCEEDED"


async def test_nobody_listening_is_unavailable(photo: Photo) -> None:
    with running(FakeServer()) as server:
        port = server.grpc_port
    (answer,) = await send(port, photo)
    assert answer.kind == "UNAVAILABLE"


async def test_an_http_1_server_is_an_error_and_not_a_crash(fake: FakeServer, photo: Photo) -> None:
    (answer,) = await send(fake.port, photo, timeout=1)
    assert answer.kind in ("UNAVAILABLE", "DEADLINE_EXCEEDED")


OPTIONS = messages.StreamOptions(segment=messages.SegmentOptions(model="m"), policy="FRAME_POLICY_LATEST")


async def stream(
    port: int, photo: Photo, *, fps: float | None, seconds: float, frames: int = 10_000
) -> tuple[StreamFigures, Recorder]:
    recorder = Recorder()
    camera = StreamClient(Target("grpc", "127.0.0.1", port), OPTIONS, fps=fps)
    window = Window(seconds, requests=frames, stop=asyncio.Event())
    figures = await camera.run([photo], window=window, recorder=recorder)
    await camera.close()
    return figures, recorder


async def test_frames_come_at_their_rate_and_every_result_is_timed(fake: FakeServer, photo: Photo) -> None:
    figures, recorder = await stream(fake.grpc_port, photo, fps=20, seconds=1)

    assert 0 < figures.answered <= figures.answered + figures.skipped <= 21
    assert recorder.answered == figures.answered
    assert recorder.errors == {}
    assert recorder.stages["infer"][0] == 9.0
    assert recorder.milliseconds.min() > 0
    assert fake.bodies[0] == photo.data


def test_no_frame_is_sent_twice_where_sleeps_end_early(fake: FakeServer, photo: Photo) -> None:
    """uvloop's timers have whole milliseconds."""
    figures, _ = uvloop.run(stream(fake.grpc_port, photo, fps=90, seconds=1))
    assert 0 < figures.answered <= figures.answered + figures.skipped <= 91


async def test_options_are_sent_once_with_the_first_frame(fake: FakeServer, photo: Photo) -> None:
    await stream(fake.grpc_port, photo, fps=None, seconds=5, frames=3)
    assert [messages.StreamOptions.FromString(head) for head in fake.heads] == [
        OPTIONS,
        messages.StreamOptions(),
        messages.StreamOptions(),
    ]


async def test_without_a_rate_as_many_frames_go_as_are_answered(fake: FakeServer, photo: Photo) -> None:
    fake.script = lambda _: Reply(delay=0.02)
    figures, recorder = await stream(
        fake.grpc_port, Photo("x", "image/png", bytes(200_000)), fps=None, seconds=1
    )
    assert figures.answered > 0
    assert figures.skipped == 0
    assert recorder.errors == {}


async def test_ages_count_from_when_a_frame_was_due(fake: FakeServer, photo: Photo) -> None:
    fake.script = lambda _: Reply(delay=0.1)
    _, recorder = await stream(fake.grpc_port, photo, fps=20, seconds=1, frames=10)
    assert recorder.milliseconds[-1] > 100  # ten frames every 50 ms, answered every 100


async def test_a_bad_frame_is_counted_and_the_stream_goes_on(fake: FakeServer, photo: Photo) -> None:
    bad = Reply(code=grpc.StatusCode.INVALID_ARGUMENT, body=b"no image")
    fake.script = lambda number: bad if number == 1 else Reply()
    figures, recorder = await stream(fake.grpc_port, photo, fps=None, seconds=5, frames=4)
    assert figures.answered == 3
    assert recorder.errors == {"frame error 3": 1}
    assert recorder.examples["frame error 3"] == "no image"


async def test_a_stream_that_breaks_is_counted_once(fake: FakeServer, photo: Photo) -> None:
    fake.script = lambda number: Reply(status=200 if number < 3 else 0)
    figures, recorder = await stream(fake.grpc_port, photo, fps=50, seconds=2)
    assert figures.answered == 3
    assert recorder.errors == {"UNAVAILABLE": 1}


async def test_nobody_listening_is_counted(photo: Photo) -> None:
    with running(FakeServer()) as server:
        port = server.grpc_port
    figures, recorder = await stream(port, photo, fps=10, seconds=0.5)
    assert figures.answered == 0
    assert recorder.errors == {"UNAVAILABLE": 1}


async def test_a_server_that_never_answers_does_not_hold_the_run(
    fake: FakeServer, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtest.generators.rpc._DRAIN_S", 0.3)
    fake.script = lambda _: Reply(delay=600)
    started = time.perf_counter()
    _, recorder = await stream(fake.grpc_port, photo, fps=10, seconds=0.3)
    assert time.perf_counter() - started < 300
    assert recorder.errors == {"no end": 1}


def test_policies_are_those_of_the_protocol() -> None:
    assert read_policy("latest") == "FRAME_POLICY_LATEST"
    assert read_policy("ALL") == "FRAME_POLICY_ALL"
    for unknown in ("newest", "unspecified", ""):
        with pytest.raises(CannotRun, match="latest, all"):
            read_policy(unknown)
