"""Bodies within limits of size, time and memory; compressed bodies."""

import asyncio
import base64
import gzip
import threading
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest

from service.rest import bodies
from service.rest.server import create_app
from service.serving.engine import Engine
from tests.fakes import FakeModel, Gate, encode_picture

PICTURE = encode_picture()
MAX_BODY = 100_000
PNG = {"content-type": "image/png"}


def deflate_raw(content: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(content) + stream.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(PICTURE)),
        ("GZIP", gzip.compress(PICTURE)),
        (" gzip ", gzip.compress(PICTURE)),
        ("x-gzip", gzip.compress(PICTURE)),
        ("deflate", zlib.compress(PICTURE)),
        ("deflate", deflate_raw(PICTURE)),
    ],
)
async def test_a_compressed_body_is_read(
    client: httpx.AsyncClient, model: FakeModel, encoding: str, body: bytes
) -> None:
    answer = await client.post("/v1/segment", content=body, headers=PNG | {"content-encoding": encoding})
    assert answer.status_code == 200, answer.text
    assert model.seen == [PICTURE]


@pytest.mark.parametrize("encoding", ["br", "identity, gzip", "zstd", "x" * 300])
async def test_another_encoding_is_refused_as_such(client: httpx.AsyncClient, encoding: str) -> None:
    answer = await client.post("/v1/segment", content=PICTURE, headers=PNG | {"content-encoding": encoding})
    assert answer.status_code == 415
    assert f"Content-Encoding {encoding[:30]}" in answer.json()["detail"]
    assert len(answer.content) < 500


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (gzip.compress(bytes(MAX_BODY + 1)), 413),
        (gzip.compress(bytes(50_000_000)), 413),
        (gzip.compress(PICTURE)[:-9], 400),
        (gzip.compress(PICTURE) * 2, 400),
        (PICTURE, 400),
        (b"", 400),
    ],
)
async def test_a_compressed_body_keeps_to_the_limits(
    client: httpx.AsyncClient, body: bytes, status: int
) -> None:
    answer = await client.post("/v1/segment", content=body, headers=PNG | {"content-encoding": "gzip"})
    assert answer.status_code == status


async def test_a_large_body_is_parsed_by_another_thread(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def inflate(body: bytes, window: int, most: int) -> bytes:
        threads.append(threading.current_thread())
        return PICTURE

    monkeypatch.setattr(bodies, "inflate", inflate)
    for size in (bodies.LARGE - 1, bodies.LARGE):
        headers = PNG | {"content-encoding": "gzip"}
        assert (await client.post("/v1/segment", content=bytes(size), headers=headers)).status_code == 200
    assert threads[0] is threading.main_thread()
    assert threads[1] is not threading.main_thread()


class TestBudget:
    """Room for two and a half bodies; those that hold back their ends give way to complete ones."""

    @pytest.fixture
    def gate(self) -> Gate:
        return Gate()

    @pytest.fixture
    def model(self, gate: Gate) -> FakeModel:
        return FakeModel(before=gate)

    @pytest.fixture
    async def client(self, engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(engine, max_body=MAX_BODY, max_bodies=MAX_BODY * 5 // 2)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield client
        assert app.state.bodies.held == 0
        engine.admission.close()

    async def test_the_largest_that_has_not_arrived_is_refused(
        self, client: httpx.AsyncClient, engine: Engine, gate: Gate
    ) -> None:
        arrived = asyncio.Semaphore(0)

        async def hold_back(size: int) -> AsyncIterator[bytes]:
            yield bytes(size)
            arrived.release()
            await engine.stopping.wait()

        slow = []
        for size in (90_000, 80_000, 70_000):
            slow.append(asyncio.create_task(client.post("/v1/segment", content=hold_back(size), headers=PNG)))
            await arrived.acquire()
        gate.open()
        body = PICTURE + bytes(60_000 - len(PICTURE))
        assert (await client.post("/v1/segment", content=body, headers=PNG)).status_code == 200
        refused = await slow[0]
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:blitzmask:problem:Overloaded"
        assert refused.headers["retry-after"] == "1"
        assert not slow[1].done()
        assert not slow[2].done()
        for task in slow[1:]:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    async def test_complete_bodies_keep_their_room_until_they_are_answered(
        self, client: httpx.AsyncClient, engine: Engine, gate: Gate
    ) -> None:
        body = PICTURE + bytes(MAX_BODY - len(PICTURE))
        first = asyncio.create_task(client.post("/v1/segment", content=body, headers=PNG))
        await gate.reached()
        second = asyncio.create_task(client.post("/v1/segment", content=body, headers=PNG))
        while engine.admission.waiting != 1:
            await asyncio.sleep(0)
        engine.admission.queue_limit = 9
        assert (await client.post("/v1/segment", content=body, headers=PNG)).status_code == 503
        gate.open()
        assert [(await task).status_code for task in (first, second)] == [200, 200]


async def test_a_body_that_is_said_to_be_as_it_is_is_taken(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "image/png", "content-encoding": "Identity"}
    assert (await client.post("/v1/segment", content=PICTURE, headers=headers)).status_code == 200


async def test_a_declared_length_beyond_the_limit_is_refused_before_anything_is_read(
    client: httpx.AsyncClient,
) -> None:
    async def never_read() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    headers = {"content-type": "image/png", "content-length": str(MAX_BODY + 1)}
    answer = await client.post("/v1/segment", content=never_read(), headers=headers)
    assert answer.status_code == 413
    assert f"larger than the {MAX_BODY} bytes" in answer.json()["detail"]


async def test_a_body_that_grows_beyond_the_limit_is_refused_while_it_arrives(
    client: httpx.AsyncClient,
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 10_000
            yield bytes(10_000)

    answer = await client.post("/v1/segment", content=endless(), headers={"content-type": "image/png"})
    assert answer.status_code == 413
    assert sent <= MAX_BODY + 10_000


async def test_a_body_of_exactly_the_limit_is_read(client: httpx.AsyncClient, model: FakeModel) -> None:
    body = PICTURE + bytes(MAX_BODY - len(PICTURE))
    assert (await client.post("/v1/segment", content=body, headers=PNG)).status_code == 200
    assert [len(seen) for seen in model.seen] == [MAX_BODY]


async def test_base64_counts_as_it_is_sent(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/v1/segment", json={"image": base64.b64encode(bytes(MAX_BODY - 1000)).decode()}
    )
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [({}, 408, "TooSlow"), ({"x-request-timeout": "0.02"}, 504, "DeadlineExceeded")],
)
async def test_a_body_that_does_not_arrive_in_time_is_given_up(
    client: httpx.AsyncClient, engine: Engine, headers: dict[str, str], status: int, reason: str
) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield PICTURE[:10]
        await engine.stopping.wait()  # for ever

    engine.timeout_s = 0.05
    answer = await client.post("/v1/segment", content=stalled(), headers=PNG | headers)
    assert answer.status_code == status
    assert f'blitzmask_rejected_total{{reason="{reason}"}} 1.0'.encode() in engine.metrics.exposition()
