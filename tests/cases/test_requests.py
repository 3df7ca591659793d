"""Requests that people send and that were refused, or answered with wrong numbers."""

import gzip
import json
import zlib
from collections.abc import Callable

import httpx
import pytest

from tests.cases.conftest import FindCase
from tests.running import PATIENCE_S, RunningServer

JSON = {"content-type": "application/json"}
JPEG = {"content-type": "image/jpeg"}


@pytest.fixture
def url(server: RunningServer) -> str:
    return f"http://127.0.0.1:{server.http_port}"


def post(url: str, content: bytes, **headers: str) -> httpx.Response:
    return httpx.post(
        url,
        content=content,
        headers={name.replace("_", "-"): v for name, v in headers.items()},
        timeout=PATIENCE_S,
    )


@pytest.mark.parametrize(
    ("case", "file"),
    [("s01", "j_datauri.json"), ("s02", "j_nopad.json"), ("s02", "j_urlsafe.json"), ("e02", "j_bom.json")],
)
def test_base64_is_read_as_browsers_and_libraries_write_it(
    url: str, find_case: FindCase, case: str, file: str
) -> None:
    answer = post(f"{url}/v1/segment", (find_case(case) / file).read_bytes(), **JSON)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("media", ["image/jpeg", "application/x-www-form-urlencoded", "text/plain", ""])
def test_a_jpeg_without_its_end_marker_is_read_whatever_its_type(
    url: str, find_case: FindCase, media: str
) -> None:
    picture = (find_case("s04") / "noeoi.jpg").read_bytes()
    answer = post(f"{url}/v1/segment?score_threshold=0.2", picture, content_type=media)
    assert answer.status_code == 200, answer.text


def test_the_only_file_of_a_form_is_the_picture(url: str, find_case: FindCase) -> None:
    picture = (find_case("s05") / "cat.jpg").read_bytes()
    answer = httpx.post(f"{url}/v1/segment", files={"file": ("cat.jpg", picture)}, timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_bodies_are_read(
    url: str, find_case: FindCase, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    body = (find_case("s07") / "oip.json").read_bytes()
    target = f"{url}/v2/models/blitzmask-mobilenetv2/infer"
    plain = post(target, body, **JSON)
    packed = post(target, pack(body), content_encoding=encoding, **JSON)
    assert (plain.status_code, packed.status_code) == (200, 200), packed.text
    assert packed.json()["outputs"] == plain.json()["outputs"]


def test_an_answer_at_a_threshold_is_the_lower_ones_answer_filtered(url: str, find_case: FindCase) -> None:
    picture = (find_case("s08") / "half.jpg").read_bytes()

    def ask(threshold: float) -> list[dict[str, object]]:
        answer = post(f"{url}/v1/segment?score_threshold={threshold!r}", picture, **JPEG)
        found: list[dict[str, object]] = answer.json()["instances"]
        return found

    everything = ask(0.05)
    scores = [float(str(one["score"])) for one in everything]
    assert scores
    for threshold in (*scores, 0.29, 0.3, 0.303):
        assert ask(threshold) == [one for one in everything if float(str(one["score"])) >= threshold]


@pytest.mark.parametrize("path", ["/v1/segment", "/v2/models/blitzmask-mobilenetv2/infer"])
def test_pages_of_named_origins_may_call_the_api(url: str, find_case: FindCase, path: str) -> None:
    find_case("s09")
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    named = httpx.options(f"{url}{path}", headers={"origin": "http://a.example", **asked}, timeout=PATIENCE_S)
    assert named.headers["access-control-allow-origin"] == "http://a.example"
    assert named.is_success
    other = httpx.options(f"{url}{path}", headers={"origin": "http://b.example", **asked}, timeout=PATIENCE_S)
    assert "access-control-allow-origin" not in other.headers


def test_an_empty_list_of_coco_results_is_a_list(url: str, find_case: FindCase) -> None:
    picture = (find_case("s05") / "cat.jpg").read_bytes()
    answer = post(
        f"{url}/v1/segment?score_threshold=1", picture, accept="application/x-coco-results+json", **JPEG
    )
    assert json.loads(answer.content) == []
