"""A model file as plain data: its inputs, outputs, precision and notes, whatever runtime it is for."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from service.errors import InvalidOption
from service.importer.metadata import Metadata, parse_metadata, read_appended_zip
from service.inference.card import FilePrecision, Runtime

Extent: TypeAlias = int | str  # a name, or "?", for one that is free

_MOST_BYTES = 2**31 - 1  # of one protobuf message
_TFLITE_MAGIC = b"TFL3"  # at byte 4
_PRECISIONS: dict[str, FilePrecision] = {
    "int8": "int8",
    "uint8": "int8",
    "float16": "fp16",
    "bfloat16": "fp16",
}
_WEIGHTS = frozenset({"float32", "float64", *_PRECISIONS})


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a graph. dtype: numpy's name. shape: None where the file does not say it."""

    name: str
    dtype: str
    shape: tuple[Extent, ...] | None

    @property
    def rank(self) -> int:
        """The number of axes; 0 where it is not known."""
        return len(self.shape or ())

    def __str__(self) -> str:
        extents = "of unknown shape" if self.shape is None else f"[{', '.join(map(str, self.shape))}]"
        return f"{self.name} {self.dtype} {extents}"


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A model file.

    content: an onnx.ModelProto, or the bytes of a TFLite file. parameters: the numbers in its weights.
    """

    runtime: Runtime
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    precision: FilePrecision
    parameters: int
    metadata: Metadata
    content: Any

    def describe(self) -> str:
        """The inputs and outputs in one phrase, for errors."""
        inputs, outputs = ("; ".join(map(str, tensors)) for tensors in (self.inputs, self.outputs))
        return f"it takes {inputs or 'nothing'} and gives {outputs or 'nothing'}"


def read_graph(path: Path) -> Graph:
    """The graph of an ONNX or TFLite file; raises InvalidOption where it is neither, or cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise InvalidOption(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    if start[4:] == _TFLITE_MAGIC:
        return _read_tflite(path)
    if start[:2] == b"PK":
        raise InvalidOption(
            f"{path} is a zip, probably a PyTorch checkpoint: export it to ONNX with its own tool and import "
            "that file"
        )
    return _read_onnx(path)


def import_onnx() -> Any:
    """The package onnx; raises InvalidOption where it is not installed."""
    try:
        import onnx
        import onnx.external_data_helper
        import onnx.numpy_helper
        import onnx.shape_inference
    except ImportError as error:
        raise InvalidOption(
            f"importing ONNX files needs the package onnx ({error}): pip install 'blitzmask-server[import]'"
        ) from error
    return onnx


def _read_onnx(path: Path) -> Graph:
    onnx = import_onnx()
    if path.stat().st_size > _MOST_BYTES:
        raise InvalidOption(f"{path} has over 2 GB, and no ONNX file may: export it again in fp16")
    try:
        model = onnx.load(path)
    except FileNotFoundError as error:
        raise InvalidOption(
            f"{path} keeps its weights in a second file that is not there: put {error.filename} beside it"
        ) from error
    except Exception as error:  # protobuf and onnx raise a dozen classes that have only this base in common
        raise InvalidOption(f"{path} is neither an ONNX nor a TFLite file: {error}") from error
    if not model.graph.node:
        raise InvalidOption(f"{path} is neither an ONNX nor a TFLite file: it has no nodes")
    return describe_onnx(model)


def describe_onnx(model: Any) -> Graph:
    """The graph of an onnx.ModelProto."""
    onnx = import_onnx()
    weights = Counter[str]()
    for tensor in list_constants(model.graph):
        name = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).name
        weights[name] += int(np.prod(tensor.dims, dtype=np.int64))
    constants = {tensor.name for tensor in model.graph.initializer}  # old files list them as inputs, too
    notes = {entry.key: entry.value for entry in model.metadata_props}
    return Graph(
        runtime="onnx",
        inputs=tuple(_describe_value(each) for each in model.graph.input if each.name not in constants),
        outputs=tuple(_describe_value(each) for each in model.graph.output),
        precision=_choose_precision(weights),
        parameters=sum(weights[name] for name in _WEIGHTS),
        metadata=parse_metadata(notes),
        content=model,
    )


def list_constants(graph: Any) -> Iterator[Any]:
    """The constant tensors of an onnx.GraphProto: its initialisers, and those of its Constant nodes."""
    yield from graph.initializer
    for node in graph.node:
        if node.op_type == "Constant":
            yield from (attribute.t for attribute in node.attribute if attribute.name == "value")


def _describe_value(value: Any) -> Tensor:
    onnx = import_onnx()
    kind = value.type.tensor_type
    name = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name if kind.elem_type else "unknown"
    if not kind.HasField("shape"):
        return Tensor(value.name, name, None)
    extents = (
        axis.dim_value if axis.HasField("dim_value") else axis.dim_param or "?" for axis in kind.shape.dim
    )
    return Tensor(value.name, name, tuple(extents))


def _choose_precision(weights: Counter[str]) -> FilePrecision:
    """The precision that most of the weights have, whatever the inputs and outputs are.

    >>> _choose_precision(Counter({"float32": 90, "int8": 3000}))
    'int8'
    """
    kept = {name: count for name, count in weights.items() if name in _WEIGHTS}
    return _PRECISIONS.get(max(kept, key=lambda name: kept[name], default=""), "fp32")


def _read_tflite(path: Path) -> Graph:
    from service.inference.backends.tflite import import_tflite

    content = path.read_bytes()
    try:
        native = import_tflite().Interpreter(model_content=content)
        signatures = native.get_signature_list()
        runner = native.get_signature_runner(next(iter(signatures))) if len(signatures) == 1 else None
    except (ValueError, RuntimeError) as error:
        raise InvalidOption(f"{path} is no TFLite file that this runtime can load: {error}") from error
    if runner is None:
        raise InvalidOption(
            f"{path} has {len(signatures)} signatures, and an import needs exactly one: export it with "
            "Ultralytics' own command, or convert it with litert-torch"
        )
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    weights = _count_tflite(content)
    return Graph(
        runtime="tflite",
        inputs=tuple(_describe_details(inputs)),
        outputs=tuple(_describe_details(outputs)),
        precision=_choose_precision(weights),
        parameters=sum(weights[name] for name in _WEIGHTS),
        metadata=read_appended_zip(content),
        content=content,
    )


def _describe_details(details: dict[str, Any]) -> Iterable[Tensor]:
    for name, each in details.items():
        yield Tensor(name, np.dtype(each["dtype"]).name, tuple(each["shape"].tolist()))


def _count_tflite(content: bytes) -> Counter[str]:
    """The numbers in the constant tensors of a TFLite file, by dtype."""
    from ai_edge_litert import schema_py_generated as schema

    names = {
        number: {"FLOAT32": "float32", "FLOAT16": "float16", "INT8": "int8", "UINT8": "uint8"}.get(name, "")
        for name, number in vars(schema.TensorType).items()
        if isinstance(number, int)
    }
    weights = Counter[str]()
    model = schema.Model.GetRootAs(content)
    for index in range(model.SubgraphsLength()):
        graph = model.Subgraphs(index)
        for number in range(graph.TensorsLength()):
            tensor = graph.Tensors(number)
            buffer = model.Buffers(tensor.Buffer())
            if buffer.DataLength() or buffer.Size() > 1:
                weights[names.get(tensor.Type(), "")] += int(np.prod(tensor.ShapeAsNumpy(), dtype=np.int64))
    return weights
