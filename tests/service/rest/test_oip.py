"""`/v2` by hand: the requests that clients may send, and the refusals of others."""

import asyncio
import base64
import gzip
import json
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.inference.families import CentersDecoder
from service.oip.models import BATCH_LIMIT
from service.oip.tensors import BYTES, Tensor, write_tensor
from service.rest.oip_schemas import HEADER_LENGTH
from service.serving.engine import Engine
from tests.fakes import FakeModel, Gate, encode_picture

INFER = "/v2/models/toy/infer"
TENSORS = "/v2/models/toy.tensors/infer"
PICTURE = encode_picture()


def image_input(**changes: Any) -> dict[str, Any]:
    data = [base64.b64encode(PICTURE).decode()]
    return {"name": "image", "datatype": "BYTES", "shape": [1], "data": data} | changes


def pixel_input(count: int = 1, **changes: Any) -> dict[str, Any]:
    data = np.zeros((count, 32, 32, 3), int).tolist()
    return {"name": "pixels", "datatype": "UINT8", "shape": [count, 32, 32, 3], "data": data} | changes


def pack(document: dict[str, Any], *binary: bytes) -> dict[str, Any]:
    """A request of JSON and binary tensors."""
    header = json.dumps(document).encode()
    return {"content": b"".join((header, *binary)), "headers": {HEADER_LENGTH: str(len(header))}}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """The status, and the text where this protocol's clients look for it."""
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert problem["error"] == problem["detail"]
    assert problem["status"] == answer.status_code
    return answer.status_code, problem["error"]


async def test_json_in_gives_json_out(client: httpx.AsyncClient) -> None:
    answer = await client.post(INFER, json={"id": "42", "inputs": [image_input()]})
    content = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert (content["model_name"], content["model_version"], content["id"]) == ("toy", "1", "42")
    outputs = {output["name"]: output for output in content["outputs"]}
    assert outputs["image_size"]["data"] == [30, 60]
    assert outputs["labels"] == {"name": "labels", "datatype": "BYTES", "shape": [1], "data": ["cat"]}
    assert outputs["boxes"]["shape"] == [1, 4]
    assert outputs["boxes"]["data"] == [20, 10, 20, 10]


async def test_what_follows_the_json_is_split_among_inputs_and_outputs(client: httpx.AsyncClient) -> None:
    raw = write_tensor(Tensor("image", BYTES, np.array([PICTURE], object)))
    document = {
        "inputs": [
            {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(raw)}}
        ],
        "outputs": [
            {"name": "rles", "parameters": {"binary_data": True}},
            {"name": "scores"},
            {"name": "labels", "parameters": {"binary_data": True}},
        ],
    }
    answer = await client.post(INFER, **pack(document, raw))
    assert answer.headers["content-type"] == "application/octet-stream"
    size = int(answer.headers[HEADER_LENGTH])
    rles, scores, labels = json.loads(answer.content[:size])["outputs"]
    assert (rles["name"], scores["shape"], labels["name"]) == ("rles", [1], "labels")
    rest = answer.content[size:]
    assert rest[rles["parameters"]["binary_data_size"] :] == b"\x03\0\0\0cat"
    assert labels["parameters"] == {"binary_data_size": 7}
    assert "id" not in answer.text[:size]


async def test_one_parameter_makes_all_outputs_binary_but_those_that_say_otherwise(
    client: httpx.AsyncClient,
) -> None:
    outputs: list[dict[str, Any]] = [
        {"name": "scores", "parameters": {"binary_data": False}},
        {"name": "areas"},
    ]
    document = {"inputs": [image_input()], "outputs": outputs, "parameters": {"binary_data_output": True}}
    answer = await client.post(INFER, json=document)
    scores, areas = json.loads(answer.content[: int(answer.headers[HEADER_LENGTH])])["outputs"]
    assert len(scores["data"]) == 1
    assert areas["parameters"] == {"binary_data_size": 8}


async def test_masks_that_nobody_wants_are_not_computed(client: httpx.AsyncClient) -> None:
    document = {"inputs": [image_input()], "parameters": {"masks": "none"}}
    outputs = (await client.post(INFER, json=document)).json()["outputs"]
    assert [output["name"] for output in outputs] == [
        "image_size",
        "boxes",
        "scores",
        "labels",
        "category_ids",
    ]
    asked = {"outputs": [{"name": "areas"}]}
    status, text = refusal(await client.post(INFER, json=document | asked))
    assert status == 400
    assert "areas" in text


async def test_an_empty_answer_has_the_same_outputs(client: httpx.AsyncClient) -> None:
    document = {"inputs": [image_input()], "parameters": {"score_threshold": 1}}
    outputs = (await client.post(INFER, json=document)).json()["outputs"]
    assert [output["shape"] for output in outputs] == [[2], [0, 4], [0], [0], [0], [0], [0]]


async def test_a_model_of_boxes_only_has_no_masks_to_offer(
    client: httpx.AsyncClient, model: FakeModel
) -> None:
    model.card = model.card.model_copy(update={"decoder": CentersDecoder(coefficients=0)})
    described = (await client.get("/v2/models/toy")).json()["outputs"]
    answer = await client.post(INFER, json={"inputs": [image_input()]})
    assert [output["name"] for output in answer.json()["outputs"]] == [each["name"] for each in described]
    assert "rles" not in answer.text


async def test_pixels_give_heads(client: httpx.AsyncClient) -> None:
    document = {"inputs": [pixel_input(2)], "outputs": [{"name": "size"}]}
    content = (await client.post(TENSORS, json=document)).json()
    assert content["model_name"] == "toy.tensors"
    assert content["outputs"][0]["shape"] == [2, 8, 8, 4]
    assert content["outputs"][0]["data"] == [0, 1, 2, 3] * 128


@pytest.mark.parametrize(
    ("path", "document", "clue"),
    [
        (INFER, {}, "inputs"),
        (INFER, {"inputs": []}, "0 inputs (none)"),
        (INFER, {"inputs": [image_input(), image_input()]}, "2 inputs (image, image)"),
        (INFER, {"inputs": [image_input(name="picture")]}, "picture"),
        (INFER, {"inputs": [image_input(datatype="UINT8")]}, "datatype UINT8, expected BYTES"),
        (INFER, {"inputs": [image_input(shape=[2])]}, "shape [2], expected [1]"),
        (INFER, {"inputs": [image_input(shape=["1"])]}, "shape"),
        (INFER, {"inputs": [image_input(shape=[2**70])]}, "shape"),
        (INFER, {"inputs": [image_input(data=["%"])]}, "base64"),
        (INFER, {"inputs": [image_input(data=None)]}, "no data"),
        (INFER, {"inputs": [image_input(data=["", ""])]}, "2 elements"),
        (INFER, {"inputs": [image_input(parameters={"binary_data_size": 5})]}, "binary_data_size"),
        (INFER, {"inputs": [image_input(data=[5])]}, "no text in base64"),
        (INFER, {"inputs": [image_input()], "parameters": {"binary_data_output": 1}}, "binary_data_output"),
        (INFER, {"inputs": [image_input()], "parameters": {"classes": "unicorn"}}, "unicorn"),
        (INFER, {"inputs": [image_input()], "outputs": [{"name": "masks"}]}, "no output masks"),
        (INFER, {"inputs": [image_input()], "outputs": [{"name": "boxes"}] * 2}, "twice"),
        (INFER, {"inputs": [image_input()], "sequence": 1}, "sequence"),
        (TENSORS, {"inputs": [image_input()]}, "pixels"),
        (TENSORS, {"inputs": [pixel_input(datatype="FP32")]}, "datatype FP32, expected UINT8"),
        (TENSORS, {"inputs": [pixel_input(shape=[1, 3, 32, 32])]}, "shape"),
        (TENSORS, {"inputs": [pixel_input(data=[300] * 3072)]}, "from 0 to 255"),
        (TENSORS, {"inputs": [pixel_input(shape=[0, 32, 32, 3], data=[])]}, "shape"),
        (TENSORS, {"inputs": [pixel_input(BATCH_LIMIT + 1)]}, f"at most {BATCH_LIMIT}"),
        (TENSORS, {"inputs": [pixel_input(data=[2**70] * 3072)]}, "from 0 to 255"),
    ],
)
async def test_what_cannot_be_used_is_refused_with_the_reason(
    client: httpx.AsyncClient, path: str, document: dict[str, Any], clue: str
) -> None:
    status, text = refusal(await client.post(path, json=document))
    assert status == 400
    assert clue in text


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
TREES = st.recursive(SCALARS, lambda parts: st.lists(parts, max_size=3), max_leaves=5)


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_document_breaks_it(client: httpx.AsyncClient, data: st.DataObject) -> None:
    path, tensor = data.draw(st.sampled_from([(INFER, image_input()), (TENSORS, pixel_input())]))
    document: dict[str, Any] = {
        "inputs": [tensor],
        "outputs": [{"name": "scores"}],
        "parameters": {"masks": "rle"},
    }
    place = data.draw(st.sampled_from([document, document["parameters"], document["outputs"][0], tensor]))
    name = data.draw(st.sampled_from([*place, "id", "parameters", "timeout", "data"]) | st.text(max_size=9))
    place[name] = data.draw(TREES)
    # Python writes integers of any size, and infinity, which is no JSON.
    answer = await client.post(path, content=json.dumps(document))
    assert answer.status_code == 200 or refusal(answer)[0] == 400


async def test_a_refusal_does_not_say_back_all_that_was_sent(client: httpx.AsyncClient) -> None:
    long = "x" * 20_000
    for document in (
        {"inputs": [image_input(name=long)]},
        {"inputs": [image_input(datatype=long)]},
        {"inputs": [image_input()], "outputs": [{"name": long}]},
        {"inputs": [image_input()], "parameters": {"score_threshold": long}},
        {"inputs": [image_input()], "parameters": {"masks": long}},
        {"inputs": [image_input()], long: 1},
    ):
        assert len(refusal(await client.post(INFER, json=document))[1]) < 500


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v2/nowhere", 404), ("GET", "/v2/", 404), ("POST", "/v2", 405), ("GET", INFER, 405)],
)
async def test_refusals_of_the_server_itself_have_the_protocols_face_too(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    assert refusal(await client.request(method, path))[0] == status


async def test_other_paths_have_no_need_of_it(client: httpx.AsyncClient) -> None:
    for path in ("/v1/nowhere", "/v22"):
        assert "error" not in (await client.get(path)).json()


async def test_neither_have_errors_that_should_not_have_happened_another_face(
    client: httpx.AsyncClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*keys: object) -> None:
        raise RuntimeError("swordfish")

    monkeypatch.setattr(engine.statistics, "describe", fail)
    status, text = refusal(await client.get("/v2/models/stats"))
    assert status == 500
    assert "swordfish" not in text


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"inputs": ' + b"[" * 5000])
async def test_bodies_that_are_no_request_are_refused(client: httpx.AsyncClient, body: bytes) -> None:
    assert refusal(await client.post(INFER, content=body))[0] == 400


@pytest.mark.parametrize("length", ["-1", "1.5", "x", "99999", "1" * 30, ""])
async def test_a_header_length_beyond_the_body_is_refused(client: httpx.AsyncClient, length: str) -> None:
    answer = await client.post(INFER, content=b"{}", headers={HEADER_LENGTH: length})
    assert refusal(answer)[0] == 400


async def test_bytes_that_no_input_wants_are_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post(INFER, **pack({"inputs": [image_input()]}, b"more"))
    assert refusal(answer) == (400, "4 bytes are left over after the last input")


async def test_a_broken_image_is_refused_as_natively(client: httpx.AsyncClient) -> None:
    broken = base64.b64encode(b"no image").decode()
    answer = await client.post(INFER, json={"inputs": [image_input(data=[broken])]})
    assert answer.json()["type"] == "urn:blitzmask:problem:InvalidImage"
    assert refusal(answer)[0] == 400


async def test_parameters_of_other_servers_are_ignored(client: httpx.AsyncClient) -> None:
    """MLServer's codecs write content_type on every input; KServe's client writes the model's name."""
    document = {
        "model_name": "toy",
        "model_version": "7",
        "inputs": [image_input(parameters={"content_type": "base64"})],
        "outputs": [
            {"name": "scores", "parameters": {"classification": 3}},
            {"name": "labels", "parameters": None},
        ],
        "parameters": {"content_type": "np", "headers": {"a": [1]}, "score_threshold": 0.1},
    }
    answer = await client.post(INFER, json=document)
    assert answer.status_code == 200, answer.text


async def test_null_is_the_same_as_nothing(client: httpx.AsyncClient) -> None:
    """Clients that are built on pydantic, as MLServer's, write null for whatever they leave out."""
    nothing = dict.fromkeys(("id", "parameters", "outputs", "model_name", "model_version"))
    document = nothing | {"inputs": [image_input(parameters=None)]}
    answer = await client.post(INFER, json=document)
    assert answer.status_code == 200, answer.text
    plain = await client.post(INFER, json={"inputs": [image_input()]})
    assert answer.json()["outputs"] == plain.json()["outputs"]
    assert "id" not in answer.json()


@pytest.mark.parametrize(
    "text",
    [
        "data:image/png;base64," + base64.b64encode(PICTURE).decode(),
        base64.urlsafe_b64encode(PICTURE).decode().rstrip("="),
    ],
)
async def test_base64_is_read_as_natively(client: httpx.AsyncClient, text: str) -> None:
    answer = await client.post(INFER, json={"inputs": [image_input(data=[text])]})
    assert answer.status_code == 200, answer.text


async def test_a_compressed_body_is_read(client: httpx.AsyncClient) -> None:
    """tritonclient compresses with gzip or deflate where it is asked to."""
    body = gzip.compress(json.dumps({"inputs": [image_input()]}).encode())
    answer = await client.post(INFER, content=body, headers={"content-encoding": "gzip"})
    assert answer.status_code == 200


async def test_a_body_beyond_the_limit_is_refused(client: httpx.AsyncClient) -> None:
    assert refusal(await client.post(INFER, content=bytes(100_001)))[0] == 413


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/none",
        "/v2/models/toy/versions/9/ready",
        "/v2/models/none.tensors/config",
        "/v2/models/none/stats",
    ],
)
async def test_an_unknown_model_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    assert refusal(await client.get(path))[0] == 404


async def test_the_version_is_in_the_path(client: httpx.AsyncClient) -> None:
    document = {"inputs": [image_input()]}
    answer = await client.post("/v2/models/other/versions/2/infer", json=document)
    assert answer.json()["model_version"] == "2"
    assert refusal(await client.post("/v2/models/other/versions/1/infer", json=document))[0] == 404


async def test_readiness_is_that_of_the_service(client: httpx.AsyncClient, engine: Engine) -> None:
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/toy/ready"):
        assert (await client.get(path)).status_code == 200
    engine.stop()
    assert (await client.get("/v2/health/live")).json() == {"live": True}
    assert refusal(await client.get("/v2/health/ready")) == (503, "the service is stopping")
    assert refusal(await client.get("/v2/models/toy/ready"))[0] == 503


@pytest.mark.parametrize(
    ("body", "count"), [(b"", 6), (b"{}", 6), (b'{"ready": true}', 4), (b'{"ready": false}', 6)]
)
async def test_the_index_is_asked_with_or_without_a_body(
    client: httpx.AsyncClient, body: bytes, count: int
) -> None:
    assert len((await client.post("/v2/repository/index", content=body)).json()) == count


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"ready": 1}'])
async def test_an_index_that_cannot_be_read_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    assert refusal(await client.post("/v2/repository/index", content=body))[0] == 400


async def test_statistics_count_answers_and_refusals(client: httpx.AsyncClient) -> None:
    for parameters in ({}, {"masks": "none"}, {"masks": "all"}):
        await client.post(INFER, json={"inputs": [image_input()], "parameters": parameters})
    await client.post(TENSORS, json={"inputs": [pixel_input(3)]})
    (toy,) = (await client.get("/v2/models/toy/versions/1/stats")).json()["model_stats"]
    (tensors,) = (await client.get("/v2/models/toy.tensors/stats")).json()["model_stats"]
    assert (toy["inference_count"], toy["inference_stats"]["fail"]["count"]) == (2, 1)
    assert toy["inference_stats"]["compute_infer"] == {"count": 2, "ns": 20_000_000}
    assert (tensors["inference_count"], tensors["execution_count"]) == (3, 1)
    assert len((await client.get("/v2/models/stats")).json()["model_stats"]) == 4
    scraped = (await client.get("/metrics")).text
    assert 'blitzmask_stage_seconds_count{model="toy.tensors",stage="infer"} 1.0' in scraped


@pytest.mark.parametrize(
    ("path", "document"), [(INFER, {"inputs": [image_input()]}), (TENSORS, {"inputs": [pixel_input()]})]
)
async def test_slots_queue_and_patience_are_those_of_all(
    client: httpx.AsyncClient, engine: Engine, path: str, document: dict[str, Any]
) -> None:
    gate = Gate()
    busy = asyncio.create_task(engine.admission.run(lambda waited: gate()))
    await gate.reached()
    hasty = await client.post(path, json=document | {"parameters": {"timeout": 10_000}})
    assert refusal(hasty) == (504, "the deadline passed while the request waited for a slot")
    hasty = await client.post(path, json=document, headers={"x-request-timeout": "0.01"})
    assert refusal(hasty)[0] == 504
    waiting = asyncio.create_task(client.post(path, json=document))
    while not engine.admission.waiting:
        await asyncio.sleep(0.001)
    refused = await client.post(path, json=document)
    assert refusal(refused)[0] == 503
    assert refused.headers["retry-after"] == "1"
    gate.open()
    assert (await waiting).status_code == 200
    await busy
