"""The application before FastAPI is imported: the first picture does not wait for it, and all else does."""

import sys

import httpx
import pytest
from starlette.types import Message

from service.rest.app import APPLICATION, App, create_app
from service.security.callers import Callers, Rules, hash_key, parse_key
from service.serving.engine import Engine
from tests.fakes import encode_picture

PNG = {"content-type": "image/png"}
KEY = "a-key-of-cam-7"
BAD = "/v1/segment?score_threshold=2"
KEYED = PNG | {"x-api-key": KEY}
NAMED = {"x-request-id": "a"}


@pytest.fixture(autouse=True)
def not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, APPLICATION)


def connect(app: App) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")


async def test_a_picture_is_answered_before_fastapi_is_imported(engine: Engine) -> None:
    async with connect(create_app(engine, max_body=100_000)) as client:
        first = await client.post("/v1/segment", content=encode_picture(), headers=PNG)
        assert APPLICATION not in sys.modules
        await client.get("/healthz")
        assert APPLICATION in sys.modules
        second = await client.post("/v1/segment", content=encode_picture(), headers=PNG)
    assert first.status_code == second.status_code == 200
    assert first.json()["instances"] == second.json()["instances"]
    assert set(first.headers) == set(second.headers)


@pytest.mark.parametrize("body", [b"", b"no picture"])
async def test_a_bad_request_has_the_same_problem_before_and_after(engine: Engine, body: bytes) -> None:
    app = create_app(engine, max_body=100_000)
    async with connect(app) as client:
        first = await client.post(BAD, content=body, headers=NAMED)
        await app.complete()
        second = await client.post(BAD, content=body, headers=NAMED)
    assert (first.status_code, first.json()) == (second.status_code, second.json())


@pytest.mark.parametrize("path", ["/readyz", "/v1/models", "/v2", "/", "/openapi.json"])
async def test_every_other_path_waits_until_the_application_is_complete(engine: Engine, path: str) -> None:
    async with connect(create_app(engine, max_body=100_000)) as client:
        assert (await client.get(path)).status_code == 200


async def test_a_caller_without_a_key_is_refused_from_the_start(engine: Engine) -> None:
    rules = Rules(Callers((parse_key(f"cam-7:{hash_key(KEY)}"),)))
    async with connect(create_app(engine, max_body=100_000, rules=rules)) as client:
        refused = await client.post("/v1/segment", content=encode_picture(), headers=PNG)
        answered = await client.post(
            "/v1/segment", content=encode_picture(), headers=PNG | {"x-api-key": KEY}
        )
        assert APPLICATION not in sys.modules
    assert (refused.status_code, answered.status_code) == (401, 200)
    counted = engine.metrics.exposition().decode()
    assert "POST /v1/segment" in counted


async def test_a_server_may_announce_its_start_and_end(engine: Engine) -> None:
    """Ray Serve does; the service's own server does not."""
    said = ["lifespan.startup", "lifespan.shutdown"]
    heard = list[str]()

    async def receive() -> Message:
        return {"type": said[len(heard)]}

    async def send(message: Message) -> None:
        heard.append(message["type"])

    await create_app(engine, max_body=100_000)({"type": "lifespan", "state": {}}, receive, send)
    assert heard == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
