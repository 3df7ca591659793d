import pytest

from loadtest.clients import OK, Answer, Photo
from loadtest.errors import CannotRun
from loadtest.fake import FakeServer, Reply, running
from loadtest.probe import probe, read_served
from loadtest.targets import Target

REST = Target("rest", "127.0.0.1", 1)


async def test_both_transports_tell_what_answers(fake: FakeServer, photo: Photo) -> None:
    over_rest = await probe(Target("rest", "127.0.0.1", fake.port), [photo])
    over_grpc = await probe(Target("grpc", "127.0.0.1", fake.grpc_port), [photo])

    assert over_rest == over_grpc
    assert (over_rest.model, over_rest.version, over_rest.runtime) == ("fake", "1", "onnx")


async def test_a_refusal_is_quoted_in_one_line(fake: FakeServer, photo: Photo) -> None:
    fake.script = lambda _: Reply(400, b'{"title": "t", "detail": "the image is truncated"}')
    with pytest.raises(CannotRun, match=r"cat\.jpg: http 400: the image is truncated"):
        await probe(Target("rest", "127.0.0.1", fake.port), [photo])


async def test_a_later_photo_of_the_mix_may_be_the_bad_one(fake: FakeServer, photo: Photo) -> None:
    fake.script = lambda number: Reply(body=b"{}") if number == 0 else Reply(400, b"[1]")
    bad = Photo("bad.png", "image/png", b"")
    with pytest.raises(CannotRun, match=r"bad\.png"):
        await probe(Target("rest", "127.0.0.1", fake.port), [photo, bad])


@pytest.mark.parametrize("transport", ["rest", "grpc"])
async def test_nobody_there_is_told_in_one_line(photo: Photo, transport: str) -> None:
    with running(FakeServer()) as server:
        port = {"rest": server.port, "grpc": server.grpc_port}[transport]
    target = Target("grpc" if transport == "grpc" else "rest", "127.0.0.1", port)
    with pytest.raises(CannotRun, match="is the server running") as refusal:
        await probe(target, [photo])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"null", b'{"image": 1}', b'{"image": {}, "instances": 3}']
)
def test_json_that_is_no_segmentation_is_refused(body: bytes) -> None:
    with pytest.raises(CannotRun, match="is it the right server"):
        read_served(REST, Answer(OK, body))


def test_a_server_that_does_not_say_what_it_is_can_be_measured() -> None:
    served = read_served(REST, Answer(OK, b'{"image": {"height": 1, "width": 1}, "instances": [{"a": 1}]}'))
    assert served.model is None
