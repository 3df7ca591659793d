import grpc

from loadtest.clients import OK, Answer, Photo
from loadtest.clients.rpc import RpcClient
from loadtest.fake import GOOD_MESSAGE, FakeServer, Reply, running
from loadtest.targets import Ask, Target
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
