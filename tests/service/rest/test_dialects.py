"""The endpoints of other servers, asked as their clients ask."""

import base64
import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import numpy as np
import pytest

from service.dialects.pictures import DropIn, PictureSource
from service.inference.masks.rle import decode_rle
from service.rest.server import create_app
from service.serving.engine import Engine
from service.types import Rle, Size
from tests.fakes import SCORE, FakeModel, encode_picture

PICTURE = encode_picture(60, 30)
CONFIG = (
    '<View><Image name="img" value="$photo"/><BrushLabels name="tag" toName="img">'
    '<Label value="cat"/></BrushLabels></View>'
)
MOST = 100_000


class Studio(BaseHTTPRequestHandler):
    """A Label Studio with two files: a picture, and a redirect to it."""

    tokens: list[str | None] = []  # noqa: RUF012  # of the requests, for the tests

    def do_GET(self) -> None:
        self.tokens.append(self.headers.get("authorization"))
        if self.path == "/data/elsewhere.png":
            self.send_response(302)
            self.send_header("location", "/data/cat.png")
            self.end_headers()
            return
        content = {"/data/cat.png": PICTURE, "/data/large.png": PICTURE + bytes(MOST)}.get(self.path)
        self.send_response(404 if content is None else 200)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the library's name
        pass


@pytest.fixture(scope="module")
def studio() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Studio)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.fixture
async def client(engine: Engine, studio: str) -> AsyncIterator[httpx.AsyncClient]:
    """The application with everything switched on."""
    drop_in = DropIn(deepstack=True, cvat=True, label_studio=PictureSource(studio, "s3cret", MOST))
    transport = httpx.ASGITransport(create_app(engine, max_body=MOST, drop_in=drop_in))
    async with httpx.AsyncClient(transport=transport, base_url="http://service:8000") as client:
        yield client
    engine.admission.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/vision/detection"),
        ("GET", "/v1/vision/custom/list"),
        ("GET", "/api/functions"),
        ("GET", "/label-studio/health"),
    ],
)
async def test_nothing_is_there_unless_it_is_switched_on(engine: Engine, method: str, path: str) -> None:
    transport = httpx.ASGITransport(create_app(engine, max_body=MOST))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as plain:
        assert (await plain.request(method, path)).status_code == 404
    engine.admission.close()


async def test_a_form_of_deepstack_gives_boxes_in_whole_pixels_and_masks(client: httpx.AsyncClient) -> None:
    files = {"image": ("snap.jpg", PICTURE, "image/jpeg")}
    form = {"min_confidence": "0.4", "api_key": ""}
    answer = await client.post("/v1/vision/detection", files=files, data=form)
    assert answer.status_code == 200
    content = answer.json()
    assert (content["success"], content["count"]) == (True, 1)
    (found,) = content["predictions"]
    mask = found.pop("mask")
    expected = {"label": "cat", "confidence": SCORE, "x_min": 20, "y_min": 10, "x_max": 40, "y_max": 20}
    assert found == expected
    assert decode_rle(Rle(Size(*mask["size"]), mask["counts"])).sum() == 200


async def test_the_lowest_confidence_is_that_of_the_form(client: httpx.AsyncClient) -> None:
    files = {"image": ("snap.jpg", PICTURE, "image/jpeg")}
    answer = await client.post("/v1/vision/detection", files=files, data={"min_confidence": "0.99"})
    assert answer.json()["predictions"] == []


async def test_models_are_listed_and_chosen_by_name(client: httpx.AsyncClient) -> None:
    for method in ("GET", "POST"):
        listed = (await client.request(method, "/v1/vision/custom/list")).json()
        assert listed["models"] == ["toy", "other"]
    answer = await client.post("/v1/vision/custom/other", files={"image": PICTURE})
    assert answer.json()["model"] == "other"


@pytest.mark.parametrize(
    ("path", "files", "form", "status"),
    [
        ("/v1/vision/detection", {"image": b"no picture"}, {}, 400),
        ("/v1/vision/detection", {"image": PICTURE}, {"min_confidence": "much"}, 400),
        ("/v1/vision/detection", {"image": PICTURE}, {"min_confidence": "7"}, 400),
        ("/v1/vision/detection", {"image": b""}, {}, 400),
        ("/v1/vision/custom/none", {"image": PICTURE}, {}, 404),
    ],
)
async def test_a_refusal_is_one_of_deepstack(
    client: httpx.AsyncClient, path: str, files: dict[str, bytes], form: dict[str, str], status: int
) -> None:
    answer = await client.post(path, files=files, data=form)
    assert answer.status_code == status
    content = answer.json()
    assert (content["success"], content["code"]) == (False, status)
    assert content["error"]


async def test_the_client_of_deepstack_reads_the_answer(client: httpx.AsyncClient) -> None:
    core = pytest.importorskip("deepstack.core")
    answer = await client.post("/v1/vision/detection", files={"image": PICTURE})
    predictions = answer.json()["predictions"]
    assert core.get_objects(predictions) == ["cat"]
    assert core.get_object_confidences(predictions, "cat") == [SCORE]


async def test_cvat_finds_each_model_with_its_labels(client: httpx.AsyncClient) -> None:
    functions = (await client.get("/api/functions")).json()
    assert sorted(functions) == ["other", "toy"]
    toy = (await client.get("/api/functions/toy")).json()
    assert toy == functions["toy"]
    assert toy["metadata"]["annotations"]["type"] == "detector"
    labels = json.loads(toy["metadata"]["annotations"]["spec"])
    assert [(label["name"], label["type"]) for label in labels] == [("cat", "mask"), ("dog", "mask")]
    assert toy["status"] == {"state": "ready", "httpPort": 8000}
    assert (await client.get("/api/functions/none")).status_code == 404


async def test_cvat_gets_masks_in_their_windows(client: httpx.AsyncClient) -> None:
    body = {"image": base64.b64encode(PICTURE).decode(), "threshold": 0.5}
    headers = {"x-nuclio-function-name": "toy", "x-nuclio-path": "/"}
    (shape,) = (await client.post("/api/function_invocations", json=body, headers=headers)).json()
    assert (shape["label"], shape["type"], float(shape["confidence"])) == ("cat", "mask", round(SCORE, 4))
    assert shape["mask"][-4:] == [20, 10, 39, 19]
    assert shape["mask"][:-4] == [1] * 200
    assert np.array(shape["points"]).reshape(-1, 2).max(axis=0).tolist() == [40, 20]
    high = await client.post("/api/function_invocations", json={**body, "threshold": 0.99}, headers=headers)
    assert high.json() == []


@pytest.mark.parametrize(
    "body", [{}, {"image": 5}, {"image": "?"}, {"image": ""}, {"image": "aaaa", "threshold": "high"}, []]
)
async def test_what_cvat_never_sends_is_refused(client: httpx.AsyncClient, body: Any) -> None:
    answer = await client.post("/api/function_invocations", json=body)
    assert answer.status_code == 400
    assert answer.json()["detail"]


async def test_label_studio_sets_up_and_hears_of_the_model(client: httpx.AsyncClient) -> None:
    assert (await client.get("/label-studio/health")).json() == {"status": "UP", "model_class": "toy"}
    body = {"project": "1", "schema": CONFIG, "hostname": "http://studio", "access_token": "x"}
    assert (await client.post("/label-studio/setup", json=body)).json() == {"model_version": "toy 1"}
    refused = await client.post("/label-studio/setup", json={**body, "schema": "<View/>"})
    assert refused.status_code == 400
    assert "BrushLabels" in refused.json()["detail"]


async def ask_studio(client: httpx.AsyncClient, *addresses: str) -> httpx.Response:
    tasks = [{"id": number, "data": {"photo": address}} for number, address in enumerate(addresses)]
    body = {"tasks": tasks, "label_config": CONFIG, "project": "1", "params": {}}
    return await client.post("/label-studio/predict", json=body)


async def test_tasks_are_labelled_in_their_order(client: httpx.AsyncClient, studio: str) -> None:
    inline = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
    Studio.tokens.clear()
    answer = await ask_studio(client, "/data/cat.png", f"{studio}/data/cat.png", inline)
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [result["model_version"] for result in results] == ["toy 1"] * 3
    assert [result["result"][0]["value"]["brushlabels"] for result in results] == [["cat"]] * 3
    assert Studio.tokens == ["Token s3cret"] * 2


@pytest.mark.parametrize(
    ("address", "status", "message"),
    [
        ("http://169.254.169.254/latest/meta-data", 400, "is not on"),
        ("//127.0.0.1:1/x.png", 400, "is not on"),
        ("file:///etc/passwd", 400, "is not on"),
        ("s3://bucket/x.png", 400, "is not on"),
        ("http://[x", 400, "is not on"),
        ("/data/elsewhere.png", 400, "302"),
        ("/data/missing.png", 400, "404"),
        ("/data/large.png", 413, "larger than"),
        ("data:image/png;base64,?", 400, "is not base64"),
    ],
)
async def test_pictures_come_from_label_studio_only(
    client: httpx.AsyncClient, model: FakeModel, address: str, status: int, message: str
) -> None:
    answer = await ask_studio(client, address)
    assert answer.status_code == status
    assert message in answer.json()["detail"]
    assert not model.seen


async def test_a_project_without_a_label_of_the_model_is_told_which_there_are(
    client: httpx.AsyncClient,
) -> None:
    body = {
        "tasks": [{"data": {"photo": "/data/cat.png"}}],
        "label_config": CONFIG.replace('"cat"', '"bird"'),
    }
    answer = await client.post("/label-studio/predict", json=body)
    assert answer.status_code == 400
    assert "cat, dog" in answer.json()["detail"]


@pytest.mark.parametrize("tasks", [None, "all", [5], [{}], [{"data": {"photo": 3}}]])
async def test_tasks_that_are_none_are_refused(client: httpx.AsyncClient, tasks: Any) -> None:
    answer = await client.post("/label-studio/predict", json={"tasks": tasks, "label_config": CONFIG})
    assert answer.status_code == 400
