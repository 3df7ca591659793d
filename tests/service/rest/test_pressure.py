"""REST while the service is busy: refusals, deadlines, clients that hang up."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Message, Scope

from service.rest.server import create_app
from service.serving import admission
from service.serving.engine import Engine
from tests.fakes import FakeModel, Gate, encode_picture
from tests.running import PATIENCE_S

PICTURE = encode_picture()
PNG = {"content-type": "image/png"}


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def model(gate: Gate) -> FakeModel:
    return FakeModel(before=gate)


def post(client: httpx.AsyncClient, **headers: str) -> "asyncio.Task[httpx.Response]":
    asked = {**PNG, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return asyncio.create_task(client.post("/v1/segment", content=PICTURE, headers=asked))


async def until_waiting(engine: Engine, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while engine.admission.waiting != count:
            await asyncio.sleep(0)


async def test_a_full_service_refuses_without_reading_the_body(
    client: httpx.AsyncClient, engine: Engine, gate: Gate
) -> None:
    async def never_read() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    first = post(client)
    await gate.reached()
    second = post(client)
    await until_waiting(engine, 1)
    refused = await client.post("/v1/segment", content=never_read(), headers=PNG)
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["type"] == "urn:blitzmask:problem:Overloaded"
    gate.open()
    assert [(await task).status_code for task in (first, second)] == [200, 200]


async def test_a_refused_client_waits_a_moment_while_others_are_answered(
    client: httpx.AsyncClient, engine: Engine, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "REFUSAL_S", 3600)
    first = post(client)
    await gate.reached()
    second = post(client)
    await until_waiting(engine, 1)
    third = post(client)
    async with asyncio.timeout(PATIENCE_S):
        while not engine.admission.refused:
            await asyncio.sleep(0)
        assert (await client.post("/v1/segment", content=b"", params={"tiles": "x"})).status_code == 400
        gate.open()
        assert [(await task).status_code for task in (first, second)] == [200, 200]
    assert not third.done()
    third.cancel()


async def test_what_waits_past_its_deadline_is_not_computed(
    client: httpx.AsyncClient, engine: Engine, gate: Gate, model: FakeModel
) -> None:
    first = post(client)
    await gate.reached()
    late = await post(client, x_request_timeout="0.02")
    assert late.status_code == 504
    gate.open()
    assert (await first).status_code == 200
    assert len(model.seen) == 1


async def test_a_client_that_hangs_up_while_it_waits_is_dropped(
    engine: Engine, client: httpx.AsyncClient, gate: Gate, model: FakeModel
) -> None:
    first = post(client)
    await gate.reached()
    hung_up = asyncio.Event()
    messages = [{"type": "http.request", "body": PICTURE, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/segment",
        "query_string": b"",
        "headers": [(b"content-type", b"image/png")],
    }
    leaving = asyncio.create_task(create_app(engine, max_body=100_000)(scope, receive, send))
    await until_waiting(engine, 1)
    hung_up.set()
    await leaving
    assert engine.admission.waiting == 0
    assert sent == []
    assert b'outcome="gone"' in engine.metrics.exposition()
    gate.open()
    assert (await first).status_code == 200
    assert len(model.seen) == 1


async def test_a_client_that_hangs_up_while_it_sends_is_no_error(engine: Engine) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError("nobody reads this")

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/segment",
        "query_string": b"",
        "headers": [(b"content-type", b"image/png")],
    }
    await create_app(engine, max_body=100_000)(scope, receive, send)
    assert b'outcome="gone"' in engine.metrics.exposition()


async def test_once_it_leaves_answers_are_given_but_connections_are_closed(
    client: httpx.AsyncClient, engine: Engine, gate: Gate
) -> None:
    in_flight = post(client)
    await gate.reached()
    engine.stop()
    assert (await client.get("/readyz")).status_code == 503
    assert "connection" not in (await client.get("/healthz")).headers
    engine.leave()
    gate.open()
    answer = await in_flight
    assert answer.status_code == 200
    assert answer.headers["connection"] == "close"
