"""A toy model that is computed from the pixels by hand-written rules, so that no test needs a trained one.

Its canvas is 64 x 96, its cells are the means of 4 x 4 pixels. The heatmap is how red ("rose") and how green
("leaf") a cell is, every box reaches 12 pixels left and right and 8 up and down from its centre, and the mask
is where the picture is more than half blue.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import ai_edge_litert.schema_py_generated as tfl
import flatbuffers  # ships none
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from service.__main__ import main
from service.inference.golden import draw_picture, sample_heads
from service.types import Floats, Pixels, Size

HEIGHT, WIDTH = 64, 96
SHAPE = [1, HEIGHT, WIDTH, 3]


class Head(NamedTuple):
    """A 1 x 1 convolution of the cell's mean (red, green, blue) in [0, 1]; `reach` bounds its values."""

    weights: list[list[float]]
    bias: list[float]
    reach: tuple[float, float]


HEADS = {
    "heatmap": Head([[1, 0, 0], [0, 1, 0]], [0, 0], (0, 1)),
    "size": Head([[0, 0, 0]] * 4, [12, 8, 12, 8], (0, 16)),
    "coefficients": Head([[0, 0, 0]] * 2, [1, 0], (-1, 1)),
    "spanning_set": Head([[0, 0, 1], [0, 0, 0]], [-0.5, 0], (-1, 1)),
}


def build_onnx(batch: int | str = "batch") -> bytes:
    """The toy as ONNX, uint8 [batch, 64, 96, 3] in."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["real"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["cells"], kernel_shape=[4, 4], strides=[4, 4]),
    ]
    constants, outputs = [], []
    for name, head in HEADS.items():
        weights = np.array(head.weights, np.float32)[:, :, None, None] / 255
        constants.append(numpy_helper.from_array(weights, f"{name}_weights"))
        constants.append(numpy_helper.from_array(np.array(head.bias, np.float32), f"{name}_bias"))
        inputs = ["cells", f"{name}_weights", f"{name}_bias"]
        nodes.append(helper.make_node("Conv", inputs, [f"{name}_planes"]))
        nodes.append(helper.make_node("Transpose", [f"{name}_planes"], [name], perm=[0, 2, 3, 1]))
        shape = [batch, HEIGHT // 4, WIDTH // 4, len(head.bias)]
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, [batch, *SHAPE[1:]])
    graph = helper.make_graph(nodes, "toy", [pixels], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


class TfliteGraph:
    """A TFLite flatbuffer in the making."""

    def __init__(self) -> None:
        self.model = tfl.ModelT()
        self.model.version = 3
        self.model.buffers = [tfl.BufferT()]
        self.model.operatorCodes = []
        self.graph = tfl.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]

    def tensor(
        self, shape: list[int], kind: int, *, steps: tuple[float, int] | None = None, data: Any = None
    ) -> int:
        """A new tensor's index; `steps` are the scale and zero point of a quantised one."""
        tensor, buffer = tfl.TensorT(), tfl.BufferT()
        tensor.name = f"t{len(self.graph.tensors)}"
        tensor.shape, tensor.type, tensor.buffer = shape, kind, len(self.model.buffers)
        if steps:
            tensor.quantization = tfl.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [steps[0]], [steps[1]]
        if data is not None:
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, code: int, inputs: list[int], output: int, *, options: Any = None) -> None:
        entry, operator = tfl.OperatorCodeT(), tfl.OperatorT()
        entry.builtinCode = entry.deprecatedBuiltinCode = code
        operator.opcodeIndex = len(self.model.operatorCodes)
        operator.inputs, operator.outputs = inputs, [output]
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(tfl.BuiltinOptions, type(options).__name__[:-1])
        self.model.operatorCodes.append(entry)
        self.graph.operators.append(operator)

    def pack(self, source: int, heads: dict[str, int]) -> bytes:
        signature = tfl.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        signature.inputs = [_named("pixels", source)]
        signature.outputs = [_named(name, tensor) for name, tensor in heads.items()]
        self.model.signatureDefs = [signature]
        self.graph.inputs, self.graph.outputs = [source], list(heads.values())
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _named(name: str, tensor: int) -> Any:
    entry = tfl.TensorMapT()
    entry.name, entry.tensorIndex = name, tensor
    return entry


def build_tflite(*, quantised: bool = False) -> bytes:
    """The toy as TFLite, uint8 [1, 64, 96, 3] in, or int8 throughout."""
    graph, kinds = TfliteGraph(), tfl.TensorType
    pooling = tfl.Pool2DOptionsT()
    pooling.strideW = pooling.strideH = pooling.filterWidth = pooling.filterHeight = 4
    pooling.padding = tfl.Padding.VALID
    cells_shape = [1, HEIGHT // 4, WIDTH // 4, 3]
    if quantised:
        source = real = graph.tensor(SHAPE, kinds.INT8, steps=(1 / 255, -128))
        cells = graph.tensor(cells_shape, kinds.INT8, steps=(1 / 255, -128))
    else:
        source, real = graph.tensor(SHAPE, kinds.UINT8), graph.tensor(SHAPE, kinds.FLOAT32)
        graph.operator(tfl.BuiltinOperator.CAST, [source], real)
        cells = graph.tensor(cells_shape, kinds.FLOAT32)
    graph.operator(tfl.BuiltinOperator.AVERAGE_POOL_2D, [real], cells, options=pooling)
    add_head = _add_int8_head if quantised else _add_float_head
    return graph.pack(source, {name: add_head(graph, cells, head) for name, head in HEADS.items()})


def _add_float_head(graph: TfliteGraph, cells: int, head: Head) -> int:
    count, kind = len(head.bias), tfl.TensorType.FLOAT32
    weights = np.array(head.weights, np.float32) / 255
    inputs = [
        cells,
        graph.tensor([count, 1, 1, 3], kind, data=weights),
        graph.tensor([count], kind, data=np.array(head.bias, np.float32)),
    ]
    output = graph.tensor([1, HEIGHT // 4, WIDTH // 4, count], kind)
    graph.operator(tfl.BuiltinOperator.CONV_2D, inputs, output, options=_pointwise())
    return output


def _add_int8_head(graph: TfliteGraph, cells: int, head: Head) -> int:
    count, kinds, (low, high) = len(head.bias), tfl.TensorType, head.reach
    weights = np.round(np.array(head.weights) * 127).astype(np.int8)
    bias = np.round(np.array(head.bias) * 255 * 127).astype(np.int32)
    inputs = [
        cells,
        graph.tensor([count, 1, 1, 3], kinds.INT8, steps=(1 / 127, 0), data=weights),
        graph.tensor([count], kinds.INT32, steps=(1 / 255 / 127, 0), data=bias),
    ]
    scale = (high - low) / 255
    output = graph.tensor(
        [1, HEIGHT // 4, WIDTH // 4, count], kinds.INT8, steps=(scale, -128 - round(low / scale))
    )
    graph.operator(tfl.BuiltinOperator.CONV_2D, inputs, output, options=_pointwise())
    return output


def _pointwise() -> Any:
    options = tfl.Conv2DOptionsT()
    options.padding, options.strideW, options.strideH = tfl.Padding.VALID, 1, 1
    options.dilationWFactor = options.dilationHFactor = 1
    return options


ToyFiles = Mapping[tuple[str, str], bytes]  # the artifacts by runtime and precision


class WriteToy(Protocol):
    def __call__(
        self, folder: Path, *, files: ToyFiles | None = None, name: str = "toy", version: str = "1"
    ) -> Path: ...


@pytest.fixture(scope="session")
def toy_files() -> ToyFiles:
    return {
        ("onnx", "fp32"): build_onnx(),
        ("tflite", "fp32"): build_tflite(),
        ("tflite", "int8"): build_tflite(quantised=True),
    }


@pytest.fixture(scope="session")
def static_toy_files() -> ToyFiles:
    """The toy whose ONNX batch is 1."""
    return {("onnx", "fp32"): build_onnx(batch=1)}


@pytest.fixture(scope="session")
def toy_folder(write_toy: WriteToy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with the toy in every form; not to be changed."""
    return write_toy(tmp_path_factory.mktemp("toys") / "toy")


@pytest.fixture(scope="session")
def write_toy(toy_files: ToyFiles) -> WriteToy:
    """Writes a model folder, by default with the toy in every form."""
    picture = draw_picture(Size(HEIGHT, WIDTH), seed=1)
    golden = {
        "schema_version": 1,
        "seed": 1,
        "tolerance": {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.05},
        "samples": [sample.model_dump() for sample in sample_heads(compute_heads(picture), seed=1)],
    }

    def write(folder: Path, *, files: ToyFiles | None = None, name: str = "toy", version: str = "1") -> Path:
        folder.mkdir(parents=True)
        contents = files or toy_files
        for (runtime, precision), content in contents.items():
            (folder / f"{precision}.{runtime}").write_bytes(content)
        (folder / "card.json").write_text(json.dumps(_describe(contents, name, version)))
        (folder / "golden.json").write_text(json.dumps(golden))
        return folder

    return write


def compute_heads(pixels: Pixels) -> dict[str, Floats]:
    """The toy's heads of uint8 [64, 96, 3], in numpy: float32 [1, 16, 24, C] each."""
    cells = pixels.reshape(HEIGHT // 4, 4, WIDTH // 4, 4, 3).mean(axis=(1, 3)) / 255
    return {
        name: (cells @ np.array(head.weights).T + head.bias)[None].astype(np.float32)
        for name, head in HEADS.items()
    }


def _describe(files: ToyFiles, name: str, version: str) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "name": name,
        "version": version,
        "description": "a toy",
        "network": "toy",
        "input": {"height": HEIGHT, "width": WIDTH},
        "labels": [{"category_id": 7, "name": "rose"}, {"category_id": 9, "name": "leaf"}],
        "decoder": {"coefficients": 2, "score_threshold": 0.6, "max_instances": 20},
        "outputs": {head: (HEIGHT // 4, WIDTH // 4, len(rule.bias)) for head, rule in HEADS.items()},
        "parameters": 38,
        "multiply_adds": 11520,
        "files": [
            {
                "path": f"{precision}.{runtime}",
                "runtime": runtime,
                "precision": precision,
                "sha256": hashlib.sha256(content).hexdigest(),
                "bytes": len(content),
            }
            for (runtime, precision), content in files.items()
        ],
    }


@pytest.fixture
def run_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], restored_logs: None
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command of the command line; returns exit status, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["blitzmask", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        status = ended.value.code
        assert isinstance(status, int)
        return status, captured.out, captured.err

    return run
