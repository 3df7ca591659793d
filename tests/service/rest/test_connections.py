"""Slow, silent, many and talkative clients, over real sockets."""

import asyncio
import contextlib
import io
import re
import socket
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.rest.connections import MAX_HEAD, MAX_HEADERS, MAX_PIPELINE, Connection, ConnectionLimits
from service.rest.schemas import Problem
from service.rest.server import RestServer, create_app
from service.serving.engine import Engine
from tests.fakes import FakeModel, encode_picture
from tests.running import PATIENCE_S, ROOT

HEAD_S, KEEP_ALIVE_S = 0.4, 0.8
SAMPLE_BYTES = (ROOT / "service/rest/page/samples/astronaut.jpg").stat().st_size
PICTURE = encode_picture()
POST = b"POST /v1/segment HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def limits() -> ConnectionLimits:
    return ConnectionLimits(HEAD_S, KEEP_ALIVE_S, 10_000)


@pytest.fixture
async def port(engine: Engine, limits: ConnectionLimits) -> AsyncIterator[int]:
    engine.timeout_s = 1.0  # for a body
    server = RestServer(create_app(engine, max_body=100_000), drain_s=5, limits=limits)
    yield await server.start("127.0.0.1", 0)
    await server.stop()
    engine.admission.close()


class Wire:
    """A connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> "Wire":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def trickle(self, data: bytes, pause: float = 0.05) -> None:
        """Send a byte at a time until all is sent or the server has had enough."""
        try:
            for byte in data:
                self.writer.write(bytes([byte]))
                await self.writer.drain()
                await asyncio.sleep(pause)
        except ConnectionError:
            pass

    async def rest(self, within_s: float = 10) -> bytes:
        """All bytes until the server closes; it may reset a client that still sends."""
        found = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(within_s):
                while data := await self.reader.read(65_536):
                    found += data
        return found

    def close(self) -> None:
        self.writer.transport.abort()


@pytest.fixture
async def wire(port: int) -> AsyncIterator[Wire]:
    wire = await Wire.open(port)
    yield wire
    wire.close()


async def seconds_until_closed(wire: Wire) -> float:
    begun = time.perf_counter()
    await wire.rest()
    return time.perf_counter() - begun


async def test_who_connects_and_says_nothing_is_let_go(wire: Wire, engine: Engine) -> None:
    assert HEAD_S <= await seconds_until_closed(wire) < HEAD_S * 3
    assert rejections(engine, "TooSlow") == 1


async def test_headers_that_trickle_are_not_waited_for(wire: Wire) -> None:
    sending = asyncio.create_task(wire.trickle(b"GET /healthz HTTP/1.1\r\nHost: " + b"x" * 1000))
    assert await seconds_until_closed(wire) < HEAD_S * 3
    sending.cancel()


async def test_neither_are_those_of_a_second_request(wire: Wire) -> None:
    wire.writer.write(HEALTHZ)
    assert b"200" in await wire.reader.readuntil(b"alive")
    sending = asyncio.create_task(wire.trickle(b"GET /healthz HTTP/1.1\r\nHost: " + b"x" * 1000))
    assert await seconds_until_closed(wire) < HEAD_S * 3
    sending.cancel()


async def test_a_body_that_trickles_is_told_so_and_then_let_go(wire: Wire, model: FakeModel) -> None:
    wire.writer.write(POST % len(PICTURE))
    sending = asyncio.create_task(wire.trickle(PICTURE))
    answer = await wire.rest()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert "the body had not arrived" in read_problem(answer).detail
    assert model.seen == []
    sending.cancel()


async def test_a_patient_client_may_take_the_whole_of_its_time(wire: Wire) -> None:
    wire.writer.write(POST % len(PICTURE))
    await asyncio.sleep(HEAD_S * 1.5)  # longer than headers may take, not longer than a body may
    wire.writer.write(PICTURE)
    assert (await wire.reader.readline()).startswith(b"HTTP/1.1 200 ")


async def test_an_idle_connection_is_kept_for_a_while(wire: Wire) -> None:
    wire.writer.write(HEALTHZ)
    await wire.reader.readuntil(b"alive")
    await asyncio.sleep(HEAD_S * 1.5)
    wire.writer.write(HEALTHZ)
    await wire.reader.readuntil(b'alive"}')
    assert KEEP_ALIVE_S * 0.9 <= await seconds_until_closed(wire) < KEEP_ALIVE_S * 3


def read_problem(answer: bytes) -> Problem:
    """The problem of an answer as it comes over the wire, under the id of its head."""
    head, end, body = answer.partition(b"\r\n\r\n")
    head += end
    assert b"\r\ncontent-type: application/problem+json\r\n" in head
    assert b"\r\ncontent-length: %d\r\n" % len(body) in head
    problem = Problem.model_validate_json(body)
    assert b"\r\nx-request-id: %s\r\n" % problem.instance.removeprefix("urn:request:").encode() in head
    return problem


def rejections(engine: Engine, reason: str) -> int:
    """The count of refusals for this reason."""
    line = f'blitzmask_rejected_total{{reason="{reason}"}} '
    return int(float((engine.metrics.exposition().decode().partition(line)[2] or "0").split()[0]))


async def test_headers_without_end_are_refused(wire: Wire, engine: Engine) -> None:
    wire.writer.write(b"GET / HTTP/1.1\r\n")
    for number in range(21):
        wire.writer.write(f"X-{number}: {'x' * (MAX_HEAD // 20)}\r\n".encode())
        await asyncio.sleep(0)
    answer = await wire.rest()
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert "65536 bytes" in read_problem(answer).detail
    assert rejections(engine, "HeadersTooLong") == 1


async def test_too_many_headers_are_refused(wire: Wire, engine: Engine) -> None:
    many = b"".join(b"X-%d: y\r\n" % number for number in range(MAX_HEADERS))
    wire.writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n")
    answer = await wire.rest()
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert f"more than {MAX_HEADERS} headers" in read_problem(answer).detail
    assert rejections(engine, "HeadersTooLong") == 1


async def test_headers_of_a_usual_size_may_come_in_pieces(wire: Wire) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nCookie: " + b"x" * 8000 + b"\r\n\r\n"
    for start in range(0, len(request), 100):
        wire.writer.write(request[start : start + 100])
        await asyncio.sleep(0)
    assert (await wire.reader.readline()).startswith(b"HTTP/1.1 200 ")


async def test_who_asks_whether_to_go_on_is_told_before_the_answer(wire: Wire) -> None:
    asking = POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    wire.writer.write(asking % len(PICTURE))
    assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.writer.write(PICTURE)
    assert (await wire.reader.readline()).startswith(b"HTTP/1.1 200")


async def test_a_head_arrives_where_there_is_no_body_and_before_the_next_answer(wire: Wire) -> None:
    wire.writer.write(HEALTHZ.replace(b"GET", b"HEAD") + HEALTHZ)
    answers = await wire.reader.readuntil(b"\r\n\r\n"), await wire.reader.readuntil(b"\r\n\r\n")
    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 200", b"HTTP/1.1 200"]


async def test_a_body_larger_than_any_head_may_come_in_pieces(wire: Wire) -> None:
    """The application begins with the first piece."""
    body = PICTURE + bytes(90_000 - len(PICTURE))
    for _ in range(2):
        wire.writer.write(POST % len(body))
        for start in range(0, len(body), 10_000):
            await asyncio.sleep(0.01)
            wire.writer.write(body[start : start + 10_000])
        assert (await wire.reader.readline()).startswith(b"HTTP/1.1 200")
        head = await wire.reader.readuntil(b"\r\n\r\n")
        (length,) = re.findall(rb"content-length: (\d+)", head)
        await wire.reader.readexactly(int(length))


CHUNKED = b"POST /v1/segment HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes, size: int) -> bytes:
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


async def test_a_body_of_tiny_chunks_is_passed_on_read_by_read(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvicorn copies the body that has come so far for every chunk."""
    passed: list[int] = []

    def count(connection: Connection, body: bytes) -> None:
        passed.append(len(body))
        take_body(connection, body)

    take_body = HttpToolsProtocol.on_body
    monkeypatch.setattr(HttpToolsProtocol, "on_body", count)
    body = PICTURE + bytes(20_000 - len(PICTURE))
    wire.writer.write(CHUNKED + chunk(body, 1) + b"0\r\n\r\n")
    assert (await wire.reader.readline()).startswith(b"HTTP/1.1 200 ")
    assert sum(passed) == len(body)
    assert len(passed) < 1000


async def test_trailers_are_no_headers_of_the_request(wire: Wire) -> None:
    smuggled = b"0\r\nX-Request-Id: smuggled\r\nHost: y\r\n\r\n"
    wire.writer.write(CHUNKED + chunk(PICTURE, 100) + smuggled + HEALTHZ)
    for _ in range(2):
        head = await wire.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"smuggled" not in head
        (length,) = re.findall(rb"content-length: (\d+)", head)
        await wire.reader.readexactly(int(length))


@pytest.mark.parametrize(
    "endless",
    [b"0\r\n" + b"a: b\r\n" * 500_000, b"0\r\na: " + b"b" * 3_000_000, b"1;" + b"a" * 3_000_000],
    ids=["trailers", "trailer", "extension"],
)
async def test_what_is_no_body_has_an_end(wire: Wire, engine: Engine, endless: bytes) -> None:
    wire.writer.write(CHUNKED + chunk(PICTURE, 100) + endless)
    answer = await wire.rest()
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert "trailers" in read_problem(answer).detail
    assert rejections(engine, "HeadersTooLong") == 1


@pytest.mark.parametrize(
    "host", [b"", b"cam.example:8000", b"[::1]:8000", b"192.168.0.1", b"xn--bcher-kva.example", b"my_host"]
)
async def test_names_and_addresses_are_hosts(wire: Wire, host: bytes) -> None:
    wire.writer.write(b"GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
    assert (await wire.reader.readline()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "noise",
    [
        b"\0" * 100,
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x/<script>\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: user@x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /v1/segment HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n",
    ],
)
async def test_bytes_that_are_no_http_are_a_counted_problem(
    wire: Wire, engine: Engine, lines: io.StringIO, noise: bytes
) -> None:
    wire.writer.write(noise)
    answer = await wire.rest()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert read_problem(answer).status == 400
    assert b"uvicorn" not in answer.lower()
    assert b"x-content-type-options: nosniff" in answer
    assert rejections(engine, "NotHttp") == 1


async def test_http_1_0_needs_no_host(wire: Wire) -> None:
    wire.writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert (await wire.rest()).startswith(b"HTTP/1.1 200 ")


async def test_the_beginning_of_the_next_request_may_come_with_a_large_body(wire: Wire) -> None:
    """Its bytes once counted together with the body's, and the answer was 431."""
    body = PICTURE + bytes(90_000 - len(PICTURE))
    wire.writer.write(POST % len(body) + body + HEALTHZ[:20])
    assert (await wire.reader.readline()).startswith(b"HTTP/1.1 200")
    head = await wire.reader.readuntil(b"\r\n\r\n")
    (length,) = re.findall(rb"content-length: (\d+)", head)
    await wire.reader.readexactly(int(length))
    wire.writer.write(HEALTHZ[20:])
    assert (await wire.reader.readline()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("noise", [b"\0\0\0", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/9\r\n"])
async def test_a_refusal_comes_after_the_answers_that_are_due(wire: Wire, noise: bytes) -> None:
    wire.writer.write(POST % len(PICTURE) + PICTURE + HEALTHZ + noise)
    statuses = re.findall(rb"HTTP/1.1 (\d+) ", await wire.rest())
    assert statuses == [b"200", b"200", b"400"]


async def test_requests_may_not_be_sent_far_ahead_of_their_answers(wire: Wire, engine: Engine) -> None:
    wire.writer.write(HEALTHZ * (MAX_PIPELINE * 5))
    statuses = re.findall(rb"HTTP/1.1 (\d+) ", await wire.rest())
    assert set(statuses[:-1]) == {b"200"}
    assert statuses[-1] == b"400"
    assert len(statuses) <= MAX_PIPELINE + 2


async def test_a_client_that_takes_no_answer_is_let_go(port: int, engine: Engine) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, b"GET /page/samples/astronaut.jpg HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
        await asyncio.sleep(HEAD_S * 4)
        received = 0
        with contextlib.suppress(ConnectionError):
            while data := await loop.sock_recv(client, 100_000):
                received += len(data)
    assert received < 200 * SAMPLE_BYTES


async def test_a_thousand_idle_connections_disturb_nobody(port: int) -> None:
    wires = [await Wire.open(port) for _ in range(1000)]
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
            for _ in range(20):
                assert (await client.post("/v1/segment", content=PICTURE)).status_code == 200
        assert await asyncio.gather(*(wire.rest(60) for wire in wires)) == [b""] * 1000
    finally:
        for wire in wires:
            wire.close()


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/", "/page/js/main.js", "/docs", "/openapi.json"])
async def test_every_answer_has_the_headers_of_a_careful_server(port: int, path: str) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
        headers = (await client.get(path)).headers
    assert headers.get_list("x-content-type-options") == ["nosniff"]
    assert headers.get_list("referrer-policy") == ["no-referrer"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert "server" not in headers
    assert "strict-transport-security" not in headers  # no TLS here


class TestFewConnections:
    @pytest.fixture
    def limits(self) -> ConnectionLimits:
        return ConnectionLimits(HEAD_S, KEEP_ALIVE_S, connections=2)

    async def test_one_too_many_is_told_to_come_back(
        self, port: int, engine: Engine, lines: io.StringIO
    ) -> None:
        first, second, third = [await Wire.open(port) for _ in range(3)]
        answer = await third.rest(HEAD_S / 2)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 1\r\n" in answer
        assert read_problem(answer).type == "urn:blitzmask:problem:Overloaded"
        assert rejections(engine, "TooManyConnections") == 1
        assert lines.getvalue() == ""  # who floods the service does not flood its log
        second.writer.write(HEALTHZ)
        assert b"200" in await second.reader.readuntil(b"alive")
        for wire in (first, second, third):
            wire.close()
