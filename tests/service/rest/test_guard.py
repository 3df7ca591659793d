"""Keys over REST and on live streams, and the sites whose pages may open one."""

import io
import json
from collections.abc import AsyncIterator
from typing import ClassVar

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.types import Message, Scope

from service.errors import Forbidden, Unauthorized
from service.rest.guard import check_origin
from service.rest.schemas import Problem
from service.rest.server import create_app
from service.security.callers import Callers, Key, Rules, hash_key
from service.serving.engine import Engine
from tests.fakes import FakeModel, encode_picture

MAX_BODY = 100_000
CAM, SLOW = Key("cam-7", hash_key("swordfish")), Key("slow", hash_key("mackerel"), rate=0.01)
SHOWN = {"x-api-key": "swordfish"}
PNG = {"content-type": "image/png"}
PROTECTED = [
    "/v1/models",
    "/v1/models/toy",
    "/v2/models/toy",
    "/v2",
    "/metrics",
    "/nowhere",
    "/readyz/",
]


@pytest.fixture
def rules() -> Rules:
    return Rules(Callers((CAM, SLOW)))


@pytest.fixture
async def client(engine: Engine, rules: Rules) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(engine, max_body=MAX_BODY, rules=rules))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client
    engine.admission.close()


@pytest.mark.parametrize("headers", [SHOWN, {"authorization": "Bearer swordfish"}])
async def test_who_shows_a_key_is_answered(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.post("/v1/segment", content=encode_picture(), headers=headers | PNG)
    assert answer.status_code == 200
    for path in ("/v1/models", "/v2/models/toy", "/metrics"):
        assert (await client.get(path, headers=headers)).status_code == 200


@pytest.mark.parametrize("path", PROTECTED)
@pytest.mark.parametrize(
    "headers",
    [{}, {"x-api-key": "sword"}, {"x-api-key": CAM.digest}, {"authorization": "Basic c3dvcmRmaXNo"}],
)
async def test_nobody_else_hears_anything(
    client: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="blitzmask"'
    problem = Problem.model_validate_json(answer.content)
    assert problem.type == "urn:blitzmask:problem:Unauthorized"
    assert problem.instance == f"urn:request:{answer.headers['x-request-id']}"


async def test_clients_of_the_open_inference_protocol_are_told_where_they_look(
    client: httpx.AsyncClient,
) -> None:
    for path in ("/v2", "/v2/models/toy", "/v2/nowhere"):
        content = (await client.get(path)).json()
        assert content["error"] == content["detail"]


async def test_a_picture_without_a_key_is_not_even_read(client: httpx.AsyncClient, model: FakeModel) -> None:
    async def never_read() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    answer = await client.post("/v1/segment", content=never_read(), headers=PNG)
    assert answer.status_code == 401
    assert model.seen == []


@pytest.mark.parametrize(
    "path",
    [
        "/healthz",
        "/readyz",
        "/v2/health/live",
        "/v2/health/ready",
        "/",
        "/page/js/main.js",
        "/docs",
        "/openapi.json",
    ],
)
async def test_probes_and_pages_need_none(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200


async def test_who_shows_no_key_learns_whether_the_service_is_ready_and_no_more(
    client: httpx.AsyncClient, engine: Engine
) -> None:
    for headers in ({}, {"x-api-key": "guess"}):
        assert (await client.get("/readyz", headers=headers)).json() == {"status": "ready"}
    shown = (await client.get("/readyz", headers=SHOWN)).json()
    assert [model["name"] for model in shown["models"]] == ["toy", "other"]
    assert shown["refused"] == {"broken": "its hash is wrong"}
    engine.fail("toy: its hash is wrong")
    for path in ("/readyz", "/v2/health/ready"):
        answer = await client.get(path)
        assert answer.status_code == 503
        assert "hash" not in answer.text
        assert (await client.get(path, headers=SHOWN)).json()["detail"] == "toy: its hash is wrong"


async def test_a_key_used_too_often_is_told_when_to_come_back(client: httpx.AsyncClient) -> None:
    slow = {"x-api-key": "mackerel"}
    assert (await client.get("/v1/models", headers=slow)).status_code == 200
    answer = await client.get("/v1/models", headers=slow)
    assert answer.status_code == 429
    assert 90 < int(answer.headers["retry-after"]) <= 100
    assert answer.json()["type"] == "urn:blitzmask:problem:RateLimited"
    assert (await client.get("/healthz", headers=slow)).status_code == 200
    assert (await client.get("/v1/models", headers=SHOWN)).status_code == 200


async def test_metrics_and_logs_say_who_and_never_the_key(
    client: httpx.AsyncClient, lines: io.StringIO
) -> None:
    await client.get("/v1/models", headers=SHOWN)
    await client.get("/v1/models", headers={"x-api-key": "guess"})
    text = (await client.get("/metrics", headers=SHOWN)).text
    assert 'blitzmask_key_requests_total{key="cam-7",outcome="ok"} 1.0' in text
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(line.get("key"), line["outcome"]) for line in told] == [("cam-7", "ok"), (None, "Unauthorized")]
    for secret in ("swordfish", "guess", CAM.digest):
        assert secret not in text + lines.getvalue()


async def test_who_is_refused_is_counted_by_what_was_asked_for_and_why(
    client: httpx.AsyncClient, engine: Engine
) -> None:
    await client.post("/v1/segment", content=b"", headers=PNG)
    for path in ("/v2/models/toy", "/v2/models/made-up", "/made-up", "/v1/segment"):
        await client.get(path)
    text = engine.metrics.exposition().decode()
    for method, count in (("POST /v1/segment", 1), ("GET /v2/models/{name}", 2), ("other", 2)):
        labels = f'method="{method}",outcome="Unauthorized",transport="rest"'
        assert f"blitzmask_requests_total{{{labels}}} {count}.0" in text
    assert 'blitzmask_rejected_total{reason="Unauthorized"} 5.0' in text
    assert "made-up" not in text


async def test_the_description_says_which_paths_take_a_key(client: httpx.AsyncClient) -> None:
    description = (await client.get("/openapi.json")).json()
    schemes = description["components"]["securitySchemes"]
    assert schemes["ApiKey"]["name"] == "X-API-Key"
    paths = description["paths"]
    assert paths["/v1/segment"]["post"]["security"] == [{"ApiKey": []}, {"Bearer": []}]
    assert {"401", "429"} <= set(paths["/v1/segment"]["post"]["responses"])
    assert "security" not in paths["/readyz"]["get"]


async def test_the_description_names_models_to_who_shows_a_key_only(client: httpx.AsyncClient) -> None:
    assert '"toy"' not in (await client.get("/openapi.json")).text
    assert '"toy"' in (await client.get("/openapi.json", headers=SHOWN)).text


class TestOpenMetrics:
    @pytest.fixture
    def rules(self) -> Rules:
        return Rules(Callers((CAM,)), open_metrics=True)

    async def test_everybody_may_read_them_where_that_is_set(self, client: httpx.AsyncClient) -> None:
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/v1/models")).status_code == 401


class TestWithoutKeys:
    @pytest.fixture
    def rules(self) -> Rules:
        return Rules()

    async def test_everybody_may_call_and_a_key_does_no_harm(self, client: httpx.AsyncClient) -> None:
        for headers in ({}, SHOWN):
            assert (await client.get("/v1/models", headers=headers)).status_code == 200
        description = (await client.get("/openapi.json")).json()
        assert "security" not in description["paths"]["/v1/segment"]["post"]
        assert description["paths"]["/v1/models/{name}/load"]["post"]["security"]


async def shake_hands(
    engine: Engine, rules: Rules, headers: dict[str, str], subprotocols: tuple[str, ...] = ()
) -> tuple[list[Message], list[Message]]:
    """The server's messages to a client that opens a live stream and hangs up: the first, and the others."""
    app = create_app(engine, max_body=MAX_BODY, rules=rules)
    told: list[Message] = [{"type": "websocket.disconnect", "code": 1001}, {"type": "websocket.connect"}]
    sent: list[Message] = []

    async def receive() -> Message:
        return told.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "websocket",
        "asgi": {"spec_version": "2.4"},
        "path": "/v1/live",
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "subprotocols": list(subprotocols),
        "extensions": {"websocket.http.response": {}},
    }
    await app(scope, receive, send)
    return sent[:1], sent[1:]


KEY_AS_SUBPROTOCOL = "blitzmask.key.c3dvcmRmaXNo"


@pytest.mark.parametrize(
    ("headers", "subprotocols", "chosen"),
    [
        (SHOWN, (), None),
        ({}, ("blitzmask.v1", KEY_AS_SUBPROTOCOL), "blitzmask.v1"),
        ({}, (KEY_AS_SUBPROTOCOL,), None),
        ({"host": "a.example", "origin": "https://a.example"}, (KEY_AS_SUBPROTOCOL,), None),
    ],
)
async def test_a_stream_is_opened_for_who_shows_a_key(
    engine: Engine, rules: Rules, headers: dict[str, str], subprotocols: tuple[str, ...], chosen: str | None
) -> None:
    (first,), _ = await shake_hands(engine, rules, headers, subprotocols)
    assert first["type"] == "websocket.accept"
    assert first["subprotocol"] == chosen


@pytest.mark.parametrize(
    ("headers", "subprotocols", "status"),
    [
        ({}, (), 401),
        ({"x-api-key": "guess"}, (), 401),
        ({}, ("blitzmask.v1", "blitzmask.key.Z3Vlc3M"), 401),
        ({}, ("blitzmask.v1", "blitzmask.key.%%%"), 401),
        (SHOWN | {"host": "a.example", "origin": "https://b.example"}, (), 403),
        (SHOWN | {"origin": "null"}, (), 403),
    ],
)
async def test_everybody_else_gets_an_answer_in_its_place(
    engine: Engine, rules: Rules, headers: dict[str, str], subprotocols: tuple[str, ...], status: int
) -> None:
    (start,), (body,) = await shake_hands(engine, rules, headers, subprotocols)
    assert start["type"] == "websocket.http.response.start"
    assert start["status"] == status
    assert Problem.model_validate_json(body["body"]).status == status


async def test_opening_streams_counts_as_using_a_key(engine: Engine, rules: Rules) -> None:
    for expected in ("websocket.accept", "websocket.http.response.start"):
        (first,), _ = await shake_hands(engine, rules, {"x-api-key": "mackerel"})
        assert first["type"] == expected


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "a.example", ()),
        ("http://a.example", "a.example", ()),
        ("https://A.example", "a.example:443", ()),
        ("http://localhost:8000", "localhost:8000", ()),
        ("http://[::1]:8000", "[::1]:8000", ()),
        ("https://b.example", "a.example", ("https://b.example/",)),
        ("https://b.example", "a.example", ("*",)),
        ("null", "a.example", ("*",)),
    ],
)
def test_the_own_page_and_those_that_are_allowed_may_open_streams(
    origin: str | None, host: str, allowed: tuple[str, ...]
) -> None:
    check_origin(origin, host, allowed)


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("", "", ()),
        ("null", "null", ()),
        ("http://b.example", "a.example", ()),
        ("http://a.example:8001", "a.example:8000", ()),
        ("http://a.example", "a.example:8000", ()),
        ("http://a.example.evil", "a.example", ()),
        ("http://evil/a.example", "a.example", ()),
        ("http://a.example@evil", "a.example", ()),
        ("http://a.example:no", "a.example:no", ()),
        ("http://[", "[", ()),
        ("https://c.example", "a.example", ("https://b.example",)),
        ("http://b.example", "a.example", ("https://b.example",)),
    ],
)
def test_those_of_other_sites_may_not(origin: str, host: str, allowed: tuple[str, ...]) -> None:
    with pytest.raises(Forbidden, match="BLITZ_ORIGINS"):
        check_origin(origin, host, allowed)


@given(st.text(), st.text(), st.text())
def test_whatever_an_origin_says_it_is_refused_or_the_own(origin: str, host: str, allowed: str) -> None:
    try:
        check_origin(origin, host, (allowed,))
    except Forbidden:
        return
    same = origin.lower().rstrip("/") == allowed.lower().rstrip("/")
    assert allowed == "*" or same or "://" in origin


@given(st.lists(st.tuples(st.sampled_from(["x-api-key", "authorization", "X-API-KEY"]), st.binary())))
def test_no_header_is_taken_for_a_key_or_breaks_anything(told: list[tuple[str, bytes]]) -> None:
    headers = [(name.lower().encode(), value) for name, value in told]
    with pytest.raises(Unauthorized):
        Callers((CAM,)).admit(Headers(raw=headers))


class TestOtherSites:
    """Pages of the sites in BLITZ_ORIGINS call /v1 and /v2; a preflight shows no key."""

    ASKED: ClassVar = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}

    @pytest.fixture
    def rules(self) -> Rules:
        return Rules(Callers((CAM,)), origins=("http://A.example/",))

    @pytest.mark.parametrize("path", ["/v1/segment", "/v2/models/toy/infer", "/v2"])
    async def test_an_allowed_one_may_ask_and_read(self, client: httpx.AsyncClient, path: str) -> None:
        site = {"origin": "http://a.example"}
        answer = await client.options(path, headers=site | self.ASKED)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "http://a.example"
        assert "x-api-key" in answer.headers["access-control-allow-headers"]
        answer = await client.post("/v1/segment", content=encode_picture(), headers=SHOWN | PNG | site)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "http://a.example"
        assert "server-timing" in answer.headers["access-control-expose-headers"]

    async def test_it_reads_problems_too(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/v1/models", headers={"origin": "http://a.example"})
        assert answer.status_code == 401
        assert answer.headers["access-control-allow-origin"] == "http://a.example"

    @pytest.mark.parametrize(
        ("path", "origin"), [("/v1/segment", "http://b.example"), ("/metrics", "http://a.example")]
    )
    async def test_nothing_else_is_shared(self, client: httpx.AsyncClient, path: str, origin: str) -> None:
        answer = await client.options(path, headers={"origin": origin} | SHOWN | self.ASKED)
        assert answer.status_code == 405
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_all_sites_may_be_allowed(engine: Engine) -> None:
    app = create_app(engine, max_body=MAX_BODY, rules=Rules(origins=("*",)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        answer = await client.get("/v1/models", headers={"origin": "https://any.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
