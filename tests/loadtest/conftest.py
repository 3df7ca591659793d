"""Fixtures: a server that computes nothing, in a thread; a photo to send; a model for the baseline."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from loadtest.measurement.fake_server import FakeServer, running
from loadtest.measurement.harness import Setup
from loadtest.types import Photo, Target
from tests.running import PATIENCE_S


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with running(FakeServer()) as server:
        yield server


@pytest.fixture
def photo_file(tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "cat.jpg"
    path.parent.mkdir()
    assert cv2.imwrite(str(path), np.zeros((4, 6, 3), np.uint8))
    return path


@pytest.fixture
def photo(photo_file: Path) -> Photo:
    return Photo("cat.jpg", "image/jpeg", photo_file.read_bytes())


@pytest.fixture
def setup(fake: FakeServer, photo: Photo, tmp_path: Path) -> Setup:
    """A run against the fake server, without a baseline."""
    target = Target("rest", "127.0.0.1", fake.port, timeout=PATIENCE_S)
    return Setup(target, (photo,), tmp_path, baseline="none", warmup=0)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model "fake" version "1", which finds nothing on a canvas of 32 x 32."""
    folder = tmp_path_factory.mktemp("models") / "fake"
    folder.mkdir()
    content = build_onnx()
    (folder / "model.onnx").write_bytes(content)
    card = {
        "schema_version": 1,
        "name": "fake",
        "version": "1",
        "description": "finds nothing",
        "network": "none",
        "input": {"height": 32, "width": 32},
        "labels": [{"category_id": 1, "name": "thing"}],
        "decoder": {"coefficients": 1},
        "outputs": {name: (8, 8, channels) for name, channels in CHANNELS.items()},
        "parameters": 0,
        "multiply_adds": 0,
        "files": [
            {
                "path": "model.onnx",
                "runtime": "onnx",
                "precision": "fp32",
                "sha256": hashlib.sha256(content).hexdigest(),
                "bytes": len(content),
            }
        ],
    }
    golden = {
        "schema_version": 1,
        "seed": 1,
        "tolerance": {"fp32": 1e-3},
        "samples": [{"head": "heatmap", "at": (0, 0, 0), "value": 0}],
    }
    (folder / "card.json").write_text(json.dumps(card))
    (folder / "golden.json").write_text(json.dumps(golden))
    return folder.parent


CHANNELS = {"heatmap": 1, "size": 4, "coefficients": 1, "spanning_set": 1}


def build_onnx() -> bytes:
    """A network whose outputs are zeros, one set for each picture of the batch."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "zero"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros", "axes"], ["sums"], keepdims=1),
    ]
    nodes += [helper.make_node("Expand", ["sums", f"{name}_shape"], [name]) for name in CHANNELS]
    constants = {"zero": np.zeros(1, np.float32), "axes": np.array([1, 2, 3])}
    constants |= {f"{name}_shape": np.array([1, 8, 8, channels]) for name, channels in CHANNELS.items()}
    graph = helper.make_graph(
        nodes,
        "nothing",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 32, 32, 3])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 8, 8, channels])
            for name, channels in CHANNELS.items()
        ],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())
