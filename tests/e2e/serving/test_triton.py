"""The public tritonclient, over HTTP and gRPC, against a service with a real model."""

import json
import subprocess
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from service.security.callers import Key, hash_key
from tests.e2e.serving.conftest import Service, running
from tests.e2e.serving.triton import PIXELS
from tests.running import ROOT
from tests.service.conftest import compute_heads

KINDS = ("http", "grpc")
QUERY = "score_threshold=0.7&max_instances=5&classes=rose"

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("tritonclient", "geventhttpclient", "rapidjson")),
    reason="tritonclient[http,grpc] is not installed",
)


@pytest.fixture(scope="module")
def roses() -> bytes:
    """A PNG on which the toy finds six roses."""
    pixels = np.zeros((128, 192, 3), np.uint8)  # BGR; its blue is the mask, its red the heatmap
    pixels[..., 0] = 255
    for place in range(6):
        row, column = 16 + place // 3 * 64, 16 + place % 3 * 64
        pixels[row : row + 8, column : column + 8, 2] = 200 + 9 * place
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture(scope="module")
def found(service: Service, roses: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The output of the client's process."""
    picture = tmp_path_factory.mktemp("triton") / "roses.png"
    picture.write_bytes(roses)
    program = ["-m", "tests.e2e.serving.triton"]
    ports = [str(service.http_port), service.target.rpartition(":")[2]]
    answer = subprocess.run(
        [sys.executable, *program, *ports, picture], cwd=ROOT, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    content: dict[str, Any] = json.loads(answer.stdout)
    return content


@pytest.mark.parametrize("kind", KINDS)
def test_health_and_descriptions(found: dict[str, Any], kind: str) -> None:
    seen = found[kind]
    assert seen["health"] == [True, True, True, True, False]
    assert seen["server"]["name"] == "blitzmask-server"
    assert "binary_tensor_data" in seen["server"]["extensions"]
    assert [each["name"] for each in seen["metadata"]["inputs"]] == ["image"]
    config = seen["config"]["config"] if kind == "grpc" else seen["config"]
    assert config["input"][0]["name"] == "pixels"
    assert config["max_batch_size"] == 8
    index = seen["index"]["models"] if kind == "grpc" else seen["index"]
    assert [(each["name"], each["state"]) for each in index] == [("toy", "READY"), ("toy.tensors", "READY")]


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_gives_the_native_answer(
    found: dict[str, Any], service: Service, roses: bytes, kind: str
) -> None:
    request = urllib.request.Request(
        f"{service.url}/v1/segment?{QUERY}", roses, {"content-type": "image/png"}
    )
    with urllib.request.urlopen(request) as answer:
        native = json.load(answer)
    instances = native["instances"]
    assert len(instances) == 5
    assert found[kind]["image"] == {
        "image_size": [native["image"]["height"], native["image"]["width"]],
        "boxes": [each["bbox"] for each in instances],
        "scores": [each["score"] for each in instances],
        "labels": [each["label"] for each in instances],
        "category_ids": [each["category_id"] for each in instances],
        "areas": [each["area"] for each in instances],
        "rles": [each["segmentation"]["counts"] for each in instances],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_give_the_heads_of_each_picture(found: dict[str, Any], kind: str) -> None:
    expected = [compute_heads(pixels) for pixels in PIXELS]
    heads = found[kind]["tensors"]
    assert set(heads) == set(expected[0])
    for name, values in heads.items():
        together = np.concatenate([each[name] for each in expected])
        np.testing.assert_allclose(np.array(values, np.float32), together, rtol=1e-4, atol=1e-4)
    assert found["http"]["tensors"] == found["grpc"]["tensors"]


@pytest.mark.parametrize(("kind", "status"), [("http", "400"), ("grpc", "StatusCode.INVALID_ARGUMENT")])
def test_a_refusal_has_its_status_and_text(found: dict[str, Any], kind: str, status: str) -> None:
    assert found[kind]["refusal"] == [
        status,
        "input pixels has shape [2, 64, 96, 2], expected [-1, 64, 96, 3], -1 standing for 1 or more",
    ]


def test_statistics_count_both_transports(found: dict[str, Any]) -> None:
    (http,), (grpc,) = (found[kind]["statistics"]["model_stats"] for kind in KINDS)
    assert (http["inference_count"], http["execution_count"]) == (2, 1)
    assert (int(grpc["inference_count"]), int(grpc["execution_count"])) == (4, 2)
    assert http["inference_stats"]["fail"]["count"] == 1


def test_a_stream_answers_in_order_and_survives_an_error(found: dict[str, Any]) -> None:
    error = found["stream"].pop(2)
    assert "there is no model none" in error
    assert found["stream"] == [[str(number), 5] for number in (0, 1, 3, 4, 5)]


@pytest.fixture(scope="module")
def changed(write_toy: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The output of a client's process that unloads birch and loads it again; ash is the default."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("ash", "birch"):
        write_toy(folder / "models" / name, name=name)
    admin = Key("ali", hash_key("open sesame"))
    with running(folder / "log", MODELS_DIR=folder / "models", ADMIN_KEYS=admin) as service:
        service.wait_for("ready")
        ports = [str(service.http_port), service.target.rpartition(":")[2]]
        program = Path(__file__).with_name("triton_repository.py")
        answer = subprocess.run(
            [sys.executable, program, *ports, "open sesame", "birch"], capture_output=True, text=True
        )
    assert answer.returncode == 0, answer.stderr
    content: dict[str, Any] = json.loads(answer.stdout)
    return content


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_unloaded_and_loaded_for_who_may(changed: dict[str, Any], kind: str) -> None:
    seen = changed[kind]
    assert seen["seen"] == [True, False, False, True, True]
    assert "send your key as X-API-Key" in seen["no key"]
    assert "config is no parameter here" in seen["configured"]
    assert "no folder oak" in seen["unknown"]
