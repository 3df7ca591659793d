"""The OpenAPI description, and the page that shows it without a network."""

import base64
import re
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.inference.image_headers import ACCEPTED
from service.rest.formats import FORMATS
from service.rest.openapi import PROBLEMS
from service.rest.parameters import SegmentQuery
from service.rest.schemas import Problem
from service.serving.engine import Engine
from tests.fakes import encode_picture


@pytest.fixture
async def description(client: httpx.AsyncClient) -> dict[str, Any]:
    content: dict[str, Any] = (await client.get("/openapi.json")).json()
    return content


def find_references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if "$ref" in node else set()
        return own.union(*map(find_references, node.values()))
    return set().union(*map(find_references, node)) if isinstance(node, list) else set()


def test_every_reference_leads_to_a_schema(description: dict[str, Any]) -> None:
    schemas = {f"#/components/schemas/{name}" for name in description["components"]["schemas"]}
    references = find_references(description)
    assert references
    assert references <= schemas
    assert "#/components/schemas/HTTPValidationError" not in schemas


def test_the_version_is_that_of_the_package(description: dict[str, Any]) -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert description["info"]["version"] == project["version"]


def test_every_public_path_is_described_with_its_problems(description: dict[str, Any]) -> None:
    operations = {path: dict(verbs) for path, verbs in description["paths"].items()}
    assert set(operations) == {
        "/v1/segment",
        "/v1/models",
        "/v1/models/{name}",
        "/v1/models/{name}/load",
        "/v1/models/{name}/unload",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/stats",
        "/v2/models/{name}",
        "/v2/models/{name}/stats",
        "/v2/models/{name}/ready",
        "/v2/models/{name}/config",
        "/v2/models/{name}/infer",
        "/v2/repository/index",
        "/v2/repository/models/{name}/load",
        "/v2/repository/models/{name}/unload",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    for verbs in operations.values():
        for operation in verbs.values():
            assert operation["summary"]
            assert operation["description"]
            assert "422" not in operation["responses"]
            for status in set(operation["responses"]) - {"200"}:
                assert "application/problem+json" in operation["responses"][status]["content"]
    described = {
        status for verbs in operations.values() for each in verbs.values() for status in each["responses"]
    }
    assert described == {"200", *map(str, PROBLEMS)}


def test_every_option_is_described(description: dict[str, Any]) -> None:
    parameters = {each["name"]: each for each in description["paths"]["/v1/segment"]["post"]["parameters"]}
    assert set(parameters) == {
        *SegmentQuery.model_fields,
        "x-request-timeout",
        "x-request-id",
        "traceparent",
    }


def test_every_parameter_of_every_path_has_a_description_and_an_example(description: dict[str, Any]) -> None:
    operations = [each for verbs in description["paths"].values() for each in verbs.values()]
    parameters = [each for operation in operations for each in operation.get("parameters", ())]
    assert len(parameters) > 15
    for parameter in parameters:
        assert len(parameter["description"]) > 20
        assert parameter.get("examples") or parameter["schema"].get("examples"), parameter["name"]


async def test_names_are_those_of_the_default_model(description: dict[str, Any]) -> None:
    parameters = description["paths"]["/v1/segment"]["post"]["parameters"]
    named = {each["name"]: each["examples"]["1"]["value"] for each in parameters}
    assert (named["model"], named["version"], named["classes"]) == ("toy", "1", "cat")


async def test_before_there_are_models_it_has_no_names(client: httpx.AsyncClient, engine: Engine) -> None:
    engine.fail("models are loading")
    assert "toy" not in (await client.get("/openapi.json")).text


async def test_the_examples_of_the_options_are_taken(
    client: httpx.AsyncClient, description: dict[str, Any]
) -> None:
    parameters = description["paths"]["/v1/segment"]["post"]["parameters"]
    asked: dict[str, dict[str, str]] = {"query": {}, "header": {"content-type": "image/png"}}
    for parameter in parameters:
        asked[parameter["in"]][parameter["name"]] = str(parameter["examples"]["1"]["value"])
    answer = await client.post(
        "/v1/segment", content=encode_picture(), params=asked["query"], headers=asked["header"]
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-request-id"] == asked["header"]["x-request-id"]


def test_problems_are_described_with_an_example_that_is_one(description: dict[str, Any]) -> None:
    for verbs in description["paths"].values():
        for operation in verbs.values():
            for status, response in operation["responses"].items():
                for media in response.get("content", {}).values():  # one may be empty
                    if status != "200":
                        assert Problem.model_validate(media["example"]).status == int(status)
            if "503" in operation["responses"]:
                assert "Retry-After" in operation["responses"]["503"]["headers"]


def test_every_answer_format_is_described(description: dict[str, Any]) -> None:
    content = description["paths"]["/v1/segment"]["post"]["responses"]["200"]["content"]
    assert set(content) == set(FORMATS)


async def test_the_example_body_is_one_that_works(
    client: httpx.AsyncClient, description: dict[str, Any]
) -> None:
    body = description["paths"]["/v1/segment"]["post"]["requestBody"]["content"]["application/json"]
    assert base64.b64decode(body["example"]["image"])
    answer = await client.post("/v1/segment", json=body["example"])
    assert answer.status_code == 200


def test_the_formats_of_pictures_are_named(description: dict[str, Any]) -> None:
    body = description["paths"]["/v1/segment"]["post"]["requestBody"]
    assert ACCEPTED in body["description"]


async def test_the_page_needs_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    answer = await client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", answer.text)
    assert "://" not in answer.text
    for link in re.findall(r'href="([^"#]+)', answer.text):
        assert (await client.get(f"/{link}")).status_code == 200
