"""KServe's own client, over REST and gRPC, against a service with a real model.

It is no dependency here, because it brings a Kubernetes client along. KSERVE_PYTHON may name the Python of
another environment that has it: `python -m venv kserve; kserve/bin/pip install kserve`.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.e2e.serving.conftest import Service
from tests.service.conftest import compute_heads

PYTHON = os.environ.get("KSERVE_PYTHON", sys.executable)
KINDS = ("rest", "grpc")
PIXELS = (np.arange(64 * 96 * 3) % 251).astype(np.uint8).reshape(1, 64, 96, 3)

pytestmark = pytest.mark.skipif(
    sys.executable == PYTHON and find_spec("kserve") is None,
    reason="kserve is not installed, and KSERVE_PYTHON names no Python that has it",
)


@pytest.fixture(scope="module")
def found(service: Service, rose: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The output of the client's process."""
    picture = tmp_path_factory.mktemp("kserve") / "rose.png"
    picture.write_bytes(rose)
    program = Path(__file__).with_name("kserve_client.py")
    ports = [str(service.http_port), service.target.rpartition(":")[2]]
    answer = subprocess.run([PYTHON, program, *ports, picture], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    content: dict[str, Any] = json.loads(answer.stdout)
    return content


@pytest.mark.parametrize("kind", KINDS)
def test_the_service_and_its_model_are_ready(found: dict[str, Any], kind: str) -> None:
    assert found[kind]["health"] == [True, True, True]


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_gives_its_instances(found: dict[str, Any], kind: str) -> None:
    answer = found[kind]["answers"][0]
    assert (answer["id"], answer["model"]) == ("7", "toy")
    assert answer["outputs"]["labels"] == ["rose"]
    assert answer["outputs"]["image_size"] == [128, 192]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [1, 2], ids=["binary", "numbers"])
def test_pixels_give_the_heads_of_the_network(found: dict[str, Any], kind: str, place: int) -> None:
    outputs = found[kind]["answers"][place]["outputs"]
    for name, head in compute_heads(PIXELS).items():
        np.testing.assert_allclose(outputs[name], head, atol=1e-4)
