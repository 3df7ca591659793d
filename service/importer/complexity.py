"""Multiply-adds of an ONNX graph, counted from its shapes."""

import copy
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from service.importer.graph import import_onnx

_Shapes = Mapping[str, tuple[int, ...]]


def count_multiply_adds(model: Any) -> int:
    """The multiply-adds of the convolutions and matrix products for one picture; 0 where a shape is unknown.

    As is usual, normalisations, activations, sums and resizing are not counted.
    model: an onnx.ModelProto whose canvas is fixed.
    """
    onnx = import_onnx()
    single = copy.deepcopy(model)
    single.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    del single.graph.value_info[:]  # of a file for any canvas they name extents that are known now
    graph = onnx.shape_inference.infer_shapes(single, data_prop=True).graph
    shapes = {each.name: tuple(each.dims) for each in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        extents = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        if extents and all(extents):
            shapes[value.name] = tuple(extents)
    counted = [COUNTS[node.op_type](node, shapes) for node in graph.node if node.op_type in COUNTS]
    return 0 if None in counted else sum(filter(None, counted))


def _count_convolution(node: Any, shapes: _Shapes) -> int | None:
    """Each output value sums one kernel; a transposed convolution does so for each input value."""
    data = node.input[0] if node.op_type == "ConvTranspose" else node.output[0]
    weights = node.input[3] if node.op_type == "QLinearConv" else node.input[1]
    if data not in shapes or weights not in shapes:
        return None
    return prod(shapes[data]) * prod(shapes[weights][1:])


def _count_product(node: Any, shapes: _Shapes) -> int | None:
    left, output = node.input[0], node.output[0]
    if left not in shapes or output not in shapes:
        return None
    transposed = any(each.name == "transA" and each.i for each in node.attribute)
    return prod(shapes[output]) * shapes[left][-2 if transposed else -1]


COUNTS: Mapping[str, Callable[[Any, _Shapes], int | None]] = {
    "Conv": _count_convolution,
    "ConvInteger": _count_convolution,
    "ConvTranspose": _count_convolution,
    "Gemm": _count_product,
    "MatMul": _count_product,
    "MatMulInteger": _count_product,
    "QLinearConv": _count_convolution,
}
