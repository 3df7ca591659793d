"""Model files as plain data."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from service.errors import InvalidOption
from service.importer.graph import Graph, Tensor, describe_onnx, read_graph
from service.types import Size
from tests.service.importer.exports import make_maskrcnn, make_yolo, save

ROOT = Path(__file__).resolve().parents[3]


def test_an_onnx_file_tells_its_inputs_outputs_and_notes(tmp_path: Path) -> None:
    graph = read_graph(save(make_yolo(sides=("height", "width")), tmp_path / "a.onnx"))
    assert graph.inputs == (Tensor("images", "float32", (1, 3, "height", "width")),)
    assert [str(each) for each in graph.outputs] == [
        "output0 float32 [1, 11, 84]",
        "output1 float32 [1, 4, 16, 16]",
    ]
    assert graph.metadata.names == {0: "rose", 1: "lily's leaf", 2: "oak, old"}
    assert graph.metadata.canvas == Size(64, 64)


@pytest.mark.parametrize(
    ("dtype", "precision"),
    [(np.float32, "fp32"), (np.float16, "fp16"), (np.int8, "int8"), (np.uint8, "int8")],
)
def test_the_precision_is_that_of_most_weights(dtype: type, precision: str) -> None:
    model = make_maskrcnn()
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(10_000_000, dtype), "extra"))
    graph = describe_onnx(model)
    assert graph.precision == precision
    assert graph.parameters > 10_000_000


def test_a_weight_that_an_old_file_lists_as_an_input_is_none(tmp_path: Path) -> None:
    model = make_yolo()
    weight = next(each for each in model.graph.initializer if len(each.dims) == 2)
    model.graph.input.append(
        onnx.helper.make_tensor_value_info(weight.name, onnx.TensorProto.FLOAT, list(weight.dims))
    )
    assert [each.name for each in describe_onnx(model).inputs] == ["images"]


def test_an_embedded_tflite_file_is_read() -> None:
    (path,) = (ROOT / "models/blitzmask-mobilenetv2").glob("*int8.tflite")
    graph = read_graph(path)
    assert graph.runtime == "tflite"
    assert graph.precision == "int8"
    assert graph.inputs[0].shape == (1, 320, 320, 3)
    assert graph.metadata.names is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no nodes"),
        (b"not a model at all", "neither an ONNX nor a TFLite file"),
        (b"PK\x03\x04 archive", "export it to ONNX"),
        (b"\x1c\0\0\0TFL3 and then nothing", "TFLite"),
    ],
    ids=["empty", "text", "checkpoint", "cut"],
)
def test_other_files_are_refused_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(InvalidOption, match=reason):
        read_graph(path)


def test_a_missing_file_of_weights_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    onnx.save(make_yolo(), path, save_as_external_data=True, location="a.data", size_threshold=16)
    assert isinstance(read_graph(path), Graph)
    (tmp_path / "a.data").unlink()
    with pytest.raises(InvalidOption, match=r"second file|a\.data"):
        read_graph(path)
