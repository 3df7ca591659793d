"""The examples of /openapi.json work unchanged with the model that is shipped."""

from typing import Any

import httpx
import pytest

from tests.fakes import encode_picture
from tests.running import PATIENCE_S, RunningServer


@pytest.fixture(scope="module")
def url(server: RunningServer) -> str:
    return f"http://127.0.0.1:{server.http_port}"


@pytest.fixture(scope="module")
def paths(url: str) -> dict[str, Any]:
    content: dict[str, Any] = httpx.get(f"{url}/openapi.json", timeout=PATIENCE_S).json()["paths"]
    return content


def read_examples(operation: dict[str, Any], place: str) -> dict[str, str]:
    """The first example of each parameter in the path, query or header."""
    found: dict[str, str] = {}
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == place:
            (first, *_) = parameter["examples"].values()
            found[parameter["name"]] = str(first["value"])
    return found


def test_every_option_of_a_segmentation(url: str, paths: dict[str, Any]) -> None:
    operation = paths["/v1/segment"]["post"]
    headers = {"content-type": "image/png"} | read_examples(operation, "header")
    for name, value in read_examples(operation, "query").items():
        answer = httpx.post(
            f"{url}/v1/segment",
            content=encode_picture(),
            params={name: value},
            headers=headers,
            timeout=PATIENCE_S,
        )
        assert answer.status_code == 200, (name, answer.text)


def test_every_path_that_is_read(url: str, paths: dict[str, Any]) -> None:
    asked = {path: verbs["get"] for path, verbs in paths.items() if "get" in verbs}
    assert len(asked) > 4
    for path, operation in asked.items():
        place = url + path.format(**read_examples(operation, "path"))
        answer = httpx.get(place, params=read_examples(operation, "query"), timeout=PATIENCE_S)
        assert answer.status_code == 200, (path, answer.text)


def test_every_body_in_json(url: str, paths: dict[str, Any]) -> None:
    asked = {path: verbs["post"] for path, verbs in paths.items() if "post" in verbs}
    bodies = {
        path: operation["requestBody"]["content"]
        for path, operation in asked.items()
        if "requestBody" in operation
    }
    assert len(bodies) == 5
    for path, content in bodies.items():
        place = url + path.format(**read_examples(asked[path], "path"))
        answer = httpx.post(place, json=content["application/json"]["example"], timeout=PATIENCE_S)
        assert answer.status_code == (403 if "security" in asked[path] else 200), (path, answer.text)
