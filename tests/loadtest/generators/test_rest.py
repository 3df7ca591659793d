import asyncio

import pytest

from loadtest.generators.rest import RestClient, parse_server_timing, response_to_answer
from loadtest.measurement.fake_server import GOOD_JSON, FakeServer, Reply, running
from loadtest.types import OK, Answer, Ask, Photo, Target
from tests.running import PATIENCE_S


async def send(server: FakeServer, photo: Photo, *, times: int = 1, timeout: float = 5) -> list[Answer]:
    client = RestClient(Target("rest", "127.0.0.1", server.port, Ask("m"), timeout))
    answers = [await client.send(photo) for _ in range(times)]
    await client.close()
    return answers


async def test_a_photo_arrives_whole_and_its_answer_and_stages_come_back(
    fake: FakeServer, photo: Photo
) -> None:
    (answer,) = await send(fake, photo)

    assert (answer.kind, answer.body) == (OK, GOOD_JSON)
    assert answer.stages["infer"] == 9.0
    assert fake.bodies == [photo.data]
    assert fake.heads[0].startswith(b"POST /v1/segment?model=m HTTP/1.1\r\n")
    assert b"\r\nContent-Type: image/jpeg\r\n" in fake.heads[0]
    assert b"\r\nX-Request-Timeout: 5\r\n" in fake.heads[0]


async def test_a_large_photo_and_a_large_answer_pass(fake: FakeServer) -> None:
    fake.script = lambda _: Reply(body=b"{" + b" " * 3_000_000 + b"}")
    photo = Photo("large", "image/png", bytes(5_000_000))

    first, second = await send(fake, photo, times=2)

    assert len(first.body) == len(second.body) == 3_000_002
    assert [len(body) for body in fake.bodies] == [5_000_000, 5_000_000]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(503, b'{"title": "Overloaded"}', media_type="application/problem+json"), "http 503"),
        (Reply(422, b"no"), "http 422"),
        (Reply(200, b"<html>", media_type="text/html"), "not json"),
        (Reply(200, b""), "not json"),
        (Reply(0), "connection lost"),
        (Reply(200, b"{}", delay=600), "timeout"),
    ],
)
async def test_a_fault_is_named_and_the_next_photo_is_answered(
    fake: FakeServer, photo: Photo, reply: Reply, kind: str
) -> None:
    fake.script = lambda number: reply if number == 0 else Reply(body=GOOD_JSON)

    timeout = 1 if kind == "timeout" else PATIENCE_S
    bad, good = await send(fake, photo, times=2, timeout=timeout)

    assert bad.kind == kind
    assert good.kind == OK
    assert bad.body in (reply.body, b"no answer within 1 s", bad.body if kind == "connection lost" else b"")


async def test_bytes_that_are_not_http_are_named(photo: Photo) -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        answer = await RestClient(Target("rest", "127.0.0.1", port)).send(photo)

    assert answer.kind == "not http"


async def test_nobody_listening_is_named(photo: Photo) -> None:
    with running(FakeServer()) as server:
        port = server.port
    answer = await RestClient(Target("rest", "127.0.0.1", port)).send(photo)
    assert answer.kind == "connection refused"


async def test_an_answer_that_ends_the_connection_is_good_and_the_next_one_dials_again(photo: Photo) -> None:
    dialled = 0

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal dialled
        dialled += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 x\r\nContent-Type: application/json\r\n"
            b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"
        )
        writer.close()

    async with await asyncio.start_server(answer_once, "127.0.0.1", 0) as server:
        client = RestClient(Target("rest", "127.0.0.1", server.sockets[0].getsockname()[1]))
        kinds = [(await client.send(photo)).kind for _ in range(3)]
        await client.close()

    assert kinds == [OK] * 3
    assert dialled == 3


@pytest.mark.parametrize("header", ["", ",;=", "dur=3", "a;dur=", "a;dur=x;dur", "a;desc=b"])
def test_a_server_timing_without_durations_gives_none(header: str) -> None:
    assert parse_server_timing(header) == {}


def test_an_answer_without_a_content_type_is_not_json() -> None:
    assert response_to_answer(200, {}, b"{}").kind == "not json"
