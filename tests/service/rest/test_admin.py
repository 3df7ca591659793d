"""Loading and unloading over REST, with real folders of toy models."""

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.inference.backends import BackendChoice
from service.inference.images import Limits
from service.rest.schemas import ModelsAnswer
from service.rest.server import create_app
from service.security.callers import Callers, Key, Rules, hash_key
from service.serving.admission import Admission
from service.serving.catalog import Catalog
from service.serving.engine import Engine
from service.telemetry.metrics import Metrics
from tests.fakes import encode_picture

KEY = {"x-api-key": "open sesame"}
ADMIN = Key("ali", hash_key("open sesame"))


@pytest.fixture
def add(write_toy: Any, toy_files: Any, tmp_path: Path) -> Any:
    """Writes a toy into the models folder."""
    only = {("onnx", "fp32"): toy_files["onnx", "fp32"]}
    return lambda name: write_toy(tmp_path / "models" / name, files=only, name=name)


@pytest.fixture
def engine(add: Any, tmp_path: Path) -> Engine:
    """Serves ash and birch, ash is the default."""
    add("ash"), add("birch")
    engine = Engine(Admission(1, 4), Metrics(), timeout_s=10)
    engine.use(Catalog.load(tmp_path / "models", default=None, choice=BackendChoice(), limits=Limits()))
    return engine


@pytest.fixture
def rules() -> Rules:
    return Rules(Callers((), (ADMIN,)))


@pytest.fixture
async def client(engine: Engine, rules: Rules) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(engine, max_body=100_000, rules=rules))
    async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=KEY) as client:
        yield client
    engine.admission.close()


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200
    return [model.name for model in ModelsAnswer.model_validate_json(answer.content).models]


async def test_a_new_folder_answers_once_it_is_loaded(client: httpx.AsyncClient, add: Any) -> None:
    add("cedar")
    assert names(await client.get("/v1/models")) == ["ash", "birch"]
    assert names(await client.post("/v1/models/cedar/load")) == ["ash", "birch", "cedar"]
    picture = encode_picture()
    answer = await client.post(
        "/v1/segment?model=cedar", content=picture, headers={"content-type": "image/png"}
    )
    assert answer.json()["model"] == "cedar"


async def test_an_unloaded_model_answers_no_more_and_is_listed_as_such(
    client: httpx.AsyncClient, lines: io.StringIO
) -> None:
    answer = await client.post("/v1/models/birch/unload", params={"version": "1"})
    assert names(answer) == ["ash"]
    assert (answer.json()["unloaded"], answer.json()["refused"]) == (["birch"], {})
    assert "blitzmask_models_refused 0.0" in (await client.get("/metrics")).text
    assert '"unloaded":["birch"]' in lines.getvalue()
    assert "refused" not in lines.getvalue()
    assert (await client.get("/v1/models/birch")).status_code == 404
    assert names(await client.post("/v1/models/birch/load")) == ["ash", "birch"]


async def test_a_broken_model_is_refused_and_the_one_before_goes_on(
    client: httpx.AsyncClient, engine: Engine, tmp_path: Path
) -> None:
    before = engine.catalog.get("birch")
    (tmp_path / "models" / "birch" / "fp32.onnx").write_bytes(b"cut")
    answer = await client.post("/v1/models/birch/load")
    assert answer.status_code == 409
    assert "is not the file its card describes" in answer.json()["detail"]
    assert engine.catalog.get("birch") is before
    assert list((await client.get("/v1/models")).json()["refused"]) == ["birch"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models/oak/load", 404),
        ("/v1/models/oak/unload", 404),
        ("/v1/models/birch/unload?version=7", 404),
        ("/v1/models/ash/unload", 409),
        ("/v1/models/birch/load?force=true", 400),
    ],
)
async def test_what_cannot_be_done_changes_nothing(
    client: httpx.AsyncClient, engine: Engine, path: str, status: int
) -> None:
    before = engine.catalog
    assert (await client.post(path)).status_code == status
    assert engine.catalog is before


@pytest.mark.parametrize("name", ["birch", "birch.tensors"])
async def test_the_open_inference_protocol_unloads_and_loads_both_names(
    client: httpx.AsyncClient, name: str
) -> None:
    answer = await client.post(f"/v2/repository/models/{name}/unload")
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await client.get("/v2/models/birch")).status_code == 404
    assert (await client.get("/v2/models/birch.tensors")).status_code == 404
    assert (await client.post(f"/v2/repository/models/{name}/load", json={})).status_code == 200
    assert (await client.get("/v2/models/birch.tensors")).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("oak/load", {}, 404),
        ("ash/unload", {"parameters": {"unload_dependents": False}}, 409),
        ("birch/load", {"parameters": {"config": "{}"}}, 400),
        ("birch/load", {"parameters": {"unload_dependents": True}}, 400),
        ("birch/load", {"files": {}}, 400),
        ("birch/load", [], 400),
    ],
)
async def test_what_the_protocol_cannot_change_it_leaves(
    client: httpx.AsyncClient, engine: Engine, path: str, body: object, status: int
) -> None:
    before = engine.catalog
    answer = await client.post(f"/v2/repository/models/{path}", json=body)
    assert answer.status_code == status
    assert answer.json()["error"] == answer.json()["detail"]
    assert engine.catalog is before


@pytest.mark.parametrize("places", ["/v1/models", "/v2/repository/models"])
@pytest.mark.parametrize("action", ["load", "unload"])
@pytest.mark.parametrize("headers", [{"x-api-key": "guess"}, {"x-api-key": ""}])
async def test_without_the_key_nobody_loads_or_unloads(
    client: httpx.AsyncClient, engine: Engine, places: str, action: str, headers: dict[str, str]
) -> None:
    before = engine.catalog
    answer = await client.post(f"{places}/birch/{action}", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["type"] == "urn:blitzmask:problem:Unauthorized"
    assert engine.catalog is before
    assert answer.headers["www-authenticate"] == 'Bearer realm="blitzmask"'


class TestWithCallers:
    @pytest.fixture
    def rules(self) -> Rules:
        return Rules(Callers((Key("cam", hash_key("a camera's")),), (ADMIN,)))

    async def test_a_key_to_call_is_none_to_change_the_models(
        self, client: httpx.AsyncClient, engine: Engine
    ) -> None:
        before = engine.catalog
        answer = await client.post("/v1/models/birch/unload", headers={"x-api-key": "a camera's"})
        assert answer.status_code == 403
        assert "the key cam may not do this" in answer.json()["detail"]
        assert engine.catalog is before

    async def test_an_admins_key_opens_everything(self, client: httpx.AsyncClient) -> None:
        assert names(await client.get("/v1/models")) == ["ash", "birch"]
        assert names(await client.post("/v1/models/birch/unload")) == ["ash"]


class TestWithoutAdmins:
    @pytest.fixture
    def rules(self) -> Rules:
        return Rules()

    @pytest.mark.parametrize("headers", [{}, {"x-api-key": ""}, {"x-api-key": "open sesame"}])
    async def test_nobody_changes_the_models(
        self, client: httpx.AsyncClient, headers: dict[str, str]
    ) -> None:
        answer = await client.post("/v1/models/birch/unload", headers=headers)
        assert answer.status_code == 403
        assert "BLITZ_ADMIN_KEYS is not set" in answer.json()["detail"]
