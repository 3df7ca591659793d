"""Bodies and queries that are packed to be dear: the service counts their pieces before it parses them.

A test that measured time would fail on a busy machine. These check that no parser sees such input, and that
the answer repeats little of it.
"""

import gc
import json
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest
from pydantic import ValidationError

from service.errors import InvalidOption
from service.rest import parameters
from service.rest.oip_schemas import HEADER_LENGTH, MOST_ELEMENTS, InferRequest, parse_json
from service.rest.server import create_app
from service.serving.engine import Engine

MAX_BODY = 50_000_000
MANY_FIELDS = b'{"image": "", ' + b", ".join(b'"a%d": 1' % number for number in range(100_000)) + b"}"
MANY_PARTS = b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n" * 50_000 + b"--b--"
MANY_INPUTS = json.dumps({"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1]}] * 20_000}).encode()
MANY_NUMBERS = b'{"inputs": [{"data": [' + b"1," * (MOST_ELEMENTS + 1) + b"1]}]}"
MANY_KEYS = b'{"inputs": [], "parameters": {' + b'"": 0, ' * 100_000 + b'"a": 0}}'
MANY_LISTS = b'{"inputs": [{"data": [' + b"[]," * 150_000 + b"[]]}]}"


@pytest.fixture
async def client(engine: Engine) -> Any:
    transport = httpx.ASGITransport(create_app(engine, max_body=MAX_BODY))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client
    engine.admission.close()


@pytest.fixture
def unparsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*_: object) -> None:
        raise AssertionError("the body was parsed")

    monkeypatch.setattr(orjson, "loads", parse)


@pytest.mark.usefixtures("unparsed")
@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/v1/segment", "application/json", MANY_FIELDS),
        ("/v1/segment", "application/json", b'{"image": [' + b"[" * 1_000_000),
        ("/v1/segment", "application/json", b'{"image": "' + b'\\"' * 1_000_000),
        ("/v1/segment", "multipart/form-data; boundary=b", MANY_PARTS),
        ("/v2/models/toy/infer", "application/json", MANY_INPUTS),
        ("/v2/models/toy/infer", "application/json", MANY_NUMBERS),
        ("/v2/models/toy.tensors/infer", "application/json", MANY_KEYS),
        ("/v2/models/toy.tensors/infer", "application/json", MANY_LISTS),
        ("/v2/repository/index", "application/json", MANY_KEYS),
    ],
    ids=["fields", "brackets", "quotes", "parts", "inputs", "numbers", "keys", "lists", "index"],
)
async def test_a_body_of_too_many_pieces_is_refused_unparsed(
    client: httpx.AsyncClient, path: str, kind: str, body: bytes
) -> None:
    answer = await client.post(path, content=body, headers={"content-type": kind})
    assert answer.status_code == 400, answer.text
    assert "most" in answer.json()["detail"] or "more than" in answer.json()["detail"]
    assert len(answer.content) < 1000


@pytest.mark.parametrize("path", ["/v1/segment", "/v1/models", "/v1/models/toy", "/v2/models/toy/infer"])
async def test_a_query_of_too_many_options_is_refused_unread(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("the query was read")

    monkeypatch.setattr(parameters, "QueryParams", read)
    query = "&".join(f"a{number}=1" for number in range(8000))
    method = "POST" if path in ("/v1/segment", "/v2/models/toy/infer") else "GET"
    answer = await client.request(method, f"{path}?{query}")
    assert answer.status_code == 400
    assert answer.json()["detail"] == "the query has more than 1000 options"


LONG = "x" * 30_000


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.get(f"/{LONG}"),
        lambda client: client.request(LONG, "/healthz"),
        lambda client: client.get(f"/v1/models?{LONG}=1"),
        lambda client: client.get(f"/v1/models/{LONG}"),
        lambda client: client.get(f"/v2/models/{LONG}"),
        lambda client: client.post(f"/v1/segment?{LONG}=1&{LONG}=1"),
        lambda client: client.post(f"/v1/segment?model={LONG}"),
        lambda client: client.post(f"/v1/segment?masks={LONG}"),
        lambda client: client.post("/v1/segment", headers={"accept": LONG}),
        lambda client: client.post("/v1/segment", headers={"content-encoding": LONG}),
        lambda client: client.post("/v1/segment", headers={"content-type": LONG}, content=b"x"),
        lambda client: client.post("/v1/segment", headers={"x-request-timeout": LONG}),
        lambda client: client.post("/v1/segment", json={LONG: 1, "image": ""}),
        lambda client: client.post("/v1/segment", files={LONG: b""}, data={LONG: "x"}),
        lambda client: client.post("/v2/models/toy/infer", json={LONG: 1}),
        lambda client: client.post("/v2/models/toy/infer", headers={HEADER_LENGTH: LONG}),
    ],
)
async def test_an_answer_and_its_log_line_repeat_little_of_what_was_sent(
    client: httpx.AsyncClient,
    lines: Any,
    ask: Callable[[httpx.AsyncClient], Any],
) -> None:
    answer = await ask(client)
    assert 400 <= answer.status_code < 500
    assert len(answer.content) < 1500
    assert len(lines.getvalue()) < 1500


@pytest.mark.parametrize(
    "document",
    [
        '{"inputs": [%s]}',
        '{"inputs": [], "outputs": [%s]}',
        '{"inputs": [{"name": "", "datatype": "", "shape": [%s]}]}',
    ],
)
def test_the_first_fault_of_a_list_is_enough(document: str) -> None:
    """pydantic would collect one for each of a million elements, which took 48 s."""
    with pytest.raises(ValidationError) as refusal:
        InferRequest.model_validate(orjson.loads(document % ", ".join(["null"] * 1000)))
    assert refusal.value.error_count() <= 3


def test_the_garbage_collector_rests_while_a_document_is_read() -> None:
    """It took nine tenths of the time of a document of many lists, and the event loop waits meanwhile."""
    runs: list[str] = []
    document = json.dumps({"inputs": [], "parameters": {"x": [[]] * 100_000}}).encode()

    def note(phase: str, _: dict[str, int]) -> None:
        runs.append(phase)

    gc.callbacks.append(note)
    try:
        parse_json(InferRequest, document)
        assert runs.count("start") <= 1  # when all is read
        with pytest.raises(InvalidOption):
            parse_json(InferRequest, b"{")
    finally:
        gc.callbacks.remove(note)
    assert gc.isenabled()
