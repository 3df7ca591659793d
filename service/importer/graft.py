"""Nodes that an import adds to an ONNX graph, in front of its input and behind its outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from service.importer.graph import Extent, Tensor, import_onnx
from service.importer.nodes import rename_tensor, replace_all
from service.types import Size

Layout: TypeAlias = Literal["NCHW", "NHWC", "CHW"]

_PREFIX = "blitzmask_"
_SQUEEZE_BY_INPUT = 13  # the opset since which Squeeze takes its axes as an input


@dataclass(frozen=True, slots=True)
class Preparation:
    """The numbers that a graph takes for a picture's bytes: (byte / scale - mean) / std.

    mean, std: for red, green and blue, whatever the order is. layout: of the graph's own input; CHW has no
    batch axis.
    """

    layout: Layout = "NCHW"
    order: Literal["RGB", "BGR"] = "RGB"
    scale: float = 255.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


def graft_bytes(model: Any, tensor: Tensor, preparation: Preparation, canvas: Size | None) -> None:
    """Puts nodes in front of a graph, so that it takes uint8 [N, H, W, 3] RGB instead of `tensor`.

    The results are equal to the last bit to those of the same steps in numpy: the division is a division,
    because a product with the reciprocal differs in the last bit for half of all bytes.
    model: an onnx.ModelProto, changed in place. canvas: None leaves height and width free.
    """
    onnx = import_onnx()
    graph = model.graph
    batch: Extent = "N" if preparation.layout != "CHW" and isinstance((tensor.shape or (1,))[0], str) else 1
    sides: tuple[Extent, Extent] = ("height", "width") if canvas is None else (canvas.height, canvas.width)
    pixels = onnx.helper.make_tensor_value_info(
        _free_name(graph, "pixels"), onnx.TensorProto.UINT8, [batch, *sides, 3]
    )
    chain = _Chain(onnx, pixels.name)
    if preparation.layout != "NHWC":
        chain.add("Transpose", perm=[0, 3, 1, 2])
    axis = 3 if preparation.layout == "NHWC" else 1
    if preparation.order == "BGR":
        chain.add("Gather", np.array([2, 1, 0], np.int64), axis=axis)
    if tensor.dtype != "uint8":
        _add_arithmetic(chain, preparation, axis)
        if tensor.dtype != "float32":
            chain.add("Cast", to=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype)))
    if preparation.layout == "CHW":
        if _read_opset(model) >= _SQUEEZE_BY_INPUT:
            chain.add("Squeeze", np.array([0], np.int64))
        else:
            chain.add("Squeeze", axes=[0])
    chain.end(tensor.name)
    kept = [each for each in graph.input if each.name != tensor.name]
    nodes = [*chain.nodes, *graph.node]
    replace_all(graph.input, [pixels, *kept])
    replace_all(graph.node, nodes)
    graph.initializer.extend(chain.constants)


def _add_arithmetic(chain: "_Chain", preparation: Preparation, axis: int) -> None:
    shape = [1, 1, 1, 1]
    shape[axis] = 3
    chain.add("Cast", to=chain.onnx.TensorProto.FLOAT)
    if preparation.scale != 1:
        chain.add("Div", np.array(preparation.scale, np.float32))
    step = -1 if preparation.order == "BGR" else 1
    if any(preparation.mean):
        chain.add("Sub", np.array(preparation.mean[::step], np.float32).reshape(shape))
    if any(value != 1 for value in preparation.std):
        chain.add("Div", np.array(preparation.std[::step], np.float32).reshape(shape))


class _Chain:
    """Nodes one after the other, each with one constant at most."""

    def __init__(self, onnx: Any, start: str) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._last = start

    def add(self, kind: str, constant: Any = None, **attributes: Any) -> None:
        inputs, output = [self._last], f"{_PREFIX}{len(self.nodes)}"
        if constant is not None:
            inputs.append(f"{output}_constant")
            self.constants.append(self.onnx.numpy_helper.from_array(constant, inputs[1]))
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], name=output, **attributes))
        self._last = output

    def end(self, name: str) -> None:
        """Gives the last output the name that the graph's nodes read."""
        if not self.nodes:
            self.add("Identity")
        self.nodes[-1].output[0] = name


def add_batch_axis(model: Any, names: Sequence[str]) -> None:
    """Gives these outputs, which are of one picture, an axis of length 1 in front.

    model: an onnx.ModelProto with its nodes in order, changed in place.
    """
    onnx = import_onnx()
    graph = model.graph
    axes = onnx.numpy_helper.from_array(np.array([0], np.int64), f"{_PREFIX}batch")
    by_input = _read_opset(model) >= _SQUEEZE_BY_INPUT
    outputs = {each.name: each for each in graph.output}
    for name in names:
        inner = f"{_PREFIX}{name}"
        rename_tensor(graph, name, inner)
        inputs, attributes = ([inner, axes.name], {}) if by_input else ([inner], {"axes": [0]})
        graph.node.append(
            onnx.helper.make_node("Unsqueeze", inputs, [name], name=f"{inner}_batch", **attributes)
        )
        kind = outputs[name].type.tensor_type
        if kind.HasField("shape"):
            axes_after = [kind.shape.dim.pop(0) for _ in range(len(kind.shape.dim))]
            kind.shape.dim.add().dim_value = 1
            kind.shape.dim.extend(axes_after)
    if by_input and names:
        graph.initializer.append(axes)


def add_columns(model: Any, columns: Mapping[str, tuple[str, int]]) -> None:
    """Adds outputs by name, each one column of the last axis of another.

    model: an onnx.ModelProto with its nodes in order, changed in place.
    """
    onnx = import_onnx()
    for name, (source, column) in columns.items():
        index = onnx.numpy_helper.from_array(np.array(column, np.int64), f"{name}_column")
        model.graph.initializer.append(index)
        model.graph.node.append(
            onnx.helper.make_node("Gather", [source, index.name], [name], name=name, axis=-1)
        )
        (whole,) = [each for each in model.graph.output if each.name == source]
        value = model.graph.output.add()
        value.CopyFrom(whole)
        value.name = name
        del value.type.tensor_type.shape.dim[-1:]


def _read_opset(model: Any) -> int:
    return max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=1)


def _free_name(graph: Any, name: str) -> str:
    """The name, or a longer one where a tensor of the graph has it already."""
    taken = {each for node in graph.node for each in (*node.input, *node.output)}
    taken.update(each.name for each in graph.initializer)
    while name in taken:
        name = f"{_PREFIX}{name}"
    return name
