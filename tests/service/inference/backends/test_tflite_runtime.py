"""The package tflite-runtime, where it is installed: `make test-tflite-runtime` runs this with numpy 1."""

import sys
from pathlib import Path

import pytest
import skimage.data

from service.inference.backends import BackendChoice
from service.inference.segmenter import open_model
from service.types import Options, Precision

MODEL = Path(__file__).parents[4] / "models" / "blitzmask-mobilenetv2-192"

tflite_runtime = pytest.importorskip("tflite_runtime", reason="needs an environment of its own")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_shipped_model_answers_as_in_onnx_runtime(
    monkeypatch: pytest.MonkeyPatch, precision: Precision
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    found = {}
    for choice in (BackendChoice("tflite", precision), BackendChoice("onnx", precision)):
        photo = skimage.data.chelsea()  # type: ignore[no-untyped-call]
        answer = open_model(MODEL, choice).segment_pixels(photo, Options(max_instances=1))
        found[answer.backend.runtime] = [(each.label, round(each.score, 1)) for each in answer.instances]
    assert set(found) == {"tflite-runtime", "onnxruntime"}
    assert found["tflite-runtime"] == found["onnxruntime"] != []
