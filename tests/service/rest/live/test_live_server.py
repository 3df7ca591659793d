"""The live stream through a real server and a real client, on a port of this machine."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from service.inference.documents import Json
from service.rest import live_connection
from service.rest.schemas import Problem
from service.rest.server import RestServer, create_app
from service.serving.engine import Engine
from service.types import Options, Pixels, Segmentation
from tests.fakes import FakeModel, encode_picture
from tests.running import PATIENCE_S

MAX_BODY = 200_000
PICTURE = encode_picture()


@pytest.fixture
async def server(engine: Engine) -> AsyncIterator[RestServer]:
    server = RestServer(create_app(engine, max_body=MAX_BODY), drain_s=1)
    yield server
    await server.stop()
    engine.admission.close()


@pytest.fixture
async def address(server: RestServer) -> str:
    return f"ws://127.0.0.1:{await server.start('127.0.0.1', 0)}/v1/live"


async def read(socket: ClientConnection) -> Json:
    async with asyncio.timeout(PATIENCE_S):
        content: Json = orjson.loads(await socket.recv())
    return content


async def read_all(socket: ClientConnection) -> None:
    """Read until the connection is closed, and raise that it is."""
    while True:
        await read(socket)


async def until_idle(engine: Engine) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while engine.streams or engine.admission.running or engine.admission.waiting:
            await asyncio.sleep(0.001)


async def test_a_stream_is_answered_in_order(address: str) -> None:
    async with connect(address) as socket:
        await socket.send('{"policy": "all"}')
        for _ in range(20):
            await socket.send(PICTURE)
        await socket.send('{"end": true}')
        answers = [orjson.loads(message) async for message in socket]
    assert [answer["frame_id"] for answer in answers] == list(range(20))
    assert socket.close_code == 1000


async def test_a_frame_too_large_is_said_to_be_so(address: str) -> None:
    async with connect(address) as socket:
        await socket.send(bytes(MAX_BODY + 1))
        assert (await read(socket))["type"] == "urn:blitzmask:problem:ImageTooLarge"
        await socket.send(PICTURE)
        assert "instances" in await read(socket)


async def push(socket: ClientConnection) -> None:
    while True:
        await socket.send(PICTURE)


class WordyModel(FakeModel):
    """Gives long answers, so that few of them fill the buffers between server and client."""

    def segment_pixels(self, pixels: Pixels, options: Options, *, crowded: bool = False) -> Segmentation:
        found = super().segment_pixels(pixels, options, crowded=crowded)
        return replace(found, version="1" * 300_000)


@pytest.fixture
def model() -> FakeModel:
    return WordyModel()


async def test_a_client_that_does_not_read_is_read_no_further_and_holds_nobody_up(
    address: str, engine: Engine, model: FakeModel
) -> None:
    async with connect(address, max_queue=1) as silent, connect(address) as other:
        await silent.send('{"policy": "all"}')
        pushing = asyncio.create_task(push(silent))
        answered = 0
        while len(model.seen) > 2 * answered or answered < 100:  # until only `other` is answered any more
            await other.send(PICTURE)
            assert "instances" in await read(other)
            answered += 1
        await asyncio.wait([pushing], timeout=0.1)
        assert len(model.seen) - answered < 200
        pushing.cancel()
        silent.transport.abort()
    await until_idle(engine)


async def test_a_server_that_stops_does_not_wait_for_a_client_that_takes_nothing(
    address: str, engine: Engine, model: FakeModel, server: RestServer
) -> None:
    async with connect(address, max_queue=1) as silent:
        await silent.send('{"policy": "all"}')
        pushing = asyncio.create_task(push(silent))
        seen = -1
        while seen < len(model.seen):  # until the answers have filled all buffers
            seen = len(model.seen)
            await asyncio.sleep(0.5)
        engine.stop()
        await server.stop()
        assert engine.streams == 0
        pushing.cancel()
        silent.transport.abort()
    await until_idle(engine)


async def test_cut_cables_leave_nothing_behind(address: str, engine: Engine) -> None:
    for _ in range(20):
        socket = await connect(address)
        await socket.send(PICTURE)
        await read(socket)
        await socket.send(PICTURE)
        socket.transport.abort()
    await until_idle(engine)


async def test_a_server_that_stops_says_so(address: str, engine: Engine, server: RestServer) -> None:
    async with connect(address) as socket:
        await socket.send(PICTURE)
        await read(socket)
        engine.stop()
        with pytest.raises(ConnectionClosed):
            await read(socket)
        assert (socket.close_code, socket.close_reason) == (1012, "the service is stopping")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server looks for clients that have hung up all the time."""
    monkeypatch.setattr(live_connection, "INTERVAL_S", 0.01)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("goodbye", [True, False])
async def test_a_client_that_leaves_frames_unread_behind_is_let_go(
    address: str, engine: Engine, *, goodbye: bool
) -> None:
    """The second frame would have its turn in a day, and the end of the connection lies behind six more."""
    socket = await connect(address, close_timeout=0.01)
    await socket.send('{"policy": "all", "max_fps": 1e-9}')
    for _ in range(8):
        await socket.send(PICTURE)
    await read(socket)
    assert engine.streams == 1
    if goodbye:
        await socket.close()
    else:
        socket.transport.abort()
    await until_idle(engine)


async def test_a_server_that_stops_answers_at_once_what_waits_for_its_turn(
    address: str, engine: Engine, server: RestServer
) -> None:
    async with connect(address) as socket:
        await socket.send('{"policy": "all", "max_fps": 1e-9}')
        for _ in range(8):
            await socket.send(PICTURE)
        await read(socket)
        engine.stop()
        with pytest.raises(ConnectionClosed):
            await read_all(socket)
        assert socket.close_code == 1012
    await until_idle(engine)


@pytest.mark.parametrize(
    "head",
    ["", "Sec-WebSocket-Key: " + "x" * 5000 + "\r\n", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"],
)
async def test_a_handshake_that_is_none_is_a_counted_problem(
    server: RestServer, engine: Engine, head: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", await server.start("127.0.0.1", 0))
    upgrade = "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    writer.write(f"GET /v1/live HTTP/1.1\r\n{upgrade}{head}\r\n".encode())
    async with asyncio.timeout(PATIENCE_S):
        answer, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in answer
    assert "Sec-WebSocket" in Problem.model_validate_json(body).detail
    assert len(body) < 600
    assert b'blitzmask_rejected_total{reason="NotHttp"} 1.0' in engine.metrics.exposition()
    writer.close()
