"""A small TFLite graph with random weights and the outputs of a network with queries."""

from collections.abc import Sequence

import ai_edge_litert.schema_py_generated as tfl
import numpy as np

from tests.service.conftest import TfliteGraph

FLOAT = tfl.TensorType.FLOAT32


def build_tflite_queries(*, side: int, queries: int, classes: int) -> bytes:
    """As RF-DETR: uint8 [1, side, side, 3] in; labels, dets, and masks of side / 4 cells each way out."""
    graph = TfliteGraph()
    shape = [1, side, side, 3]
    source, real = graph.tensor(shape, tfl.TensorType.UINT8), graph.tensor(shape, FLOAT)
    graph.operator(tfl.BuiltinOperator.CAST, [source], real)
    cells = _pool(graph, real, side, 8)
    planes = _convolve(graph, real, (side, 4, queries), stride=4)
    boxes = _connect(graph, cells, side // 8, [queries, 4])
    heads = {
        "labels": _connect(graph, cells, side // 8, [queries, classes]),
        "dets": _apply(graph, tfl.BuiltinOperator.LOGISTIC, boxes, [1, queries, 4]),
        "masks": _put_channels_first(graph, planes, [1, queries, side // 4, side // 4]),
    }
    return graph.pack(source, heads)


def _pool(graph: TfliteGraph, values: int, side: int, size: int) -> int:
    options = tfl.Pool2DOptionsT()
    options.strideW = options.strideH = options.filterWidth = options.filterHeight = size
    options.padding = tfl.Padding.VALID
    pooled = graph.tensor([1, side // size, side // size, 3], FLOAT)
    graph.operator(tfl.BuiltinOperator.AVERAGE_POOL_2D, [values], pooled, options=options)
    return pooled


def _convolve(graph: TfliteGraph, values: int, sizes: tuple[int, int, int], *, stride: int) -> int:
    """Random weights over bytes; sizes are those of the input and the kernel, and the number of channels."""
    side, kernel, channels = sizes
    random = np.random.default_rng(channels)
    weights = random.normal(0, 1 / 255, (channels, kernel, kernel, 3)).astype(np.float32)
    bias = -128 * weights.sum(axis=(1, 2, 3)) + random.normal(0, 1, channels).astype(np.float32)
    inputs = [
        values,
        graph.tensor(list(weights.shape), FLOAT, data=weights),
        graph.tensor([channels], FLOAT, data=bias),
    ]
    options = tfl.Conv2DOptionsT()
    options.padding, options.strideW, options.strideH = tfl.Padding.VALID, stride, stride
    options.dilationWFactor = options.dilationHFactor = 1
    extent = (side - kernel) // stride + 1
    found = graph.tensor([1, extent, extent, channels], FLOAT)
    graph.operator(tfl.BuiltinOperator.CONV_2D, inputs, found, options=options)
    return found


def _connect(graph: TfliteGraph, cells: int, side: int, shape: list[int]) -> int:
    """A convolution over all cells, as [1, *shape]."""
    found = _convolve(graph, cells, (side, side, shape[0] * shape[1]), stride=1)
    return _apply(graph, tfl.BuiltinOperator.RESHAPE, found, [1, *shape], [1, *shape])


def _put_channels_first(graph: TfliteGraph, values: int, shape: list[int]) -> int:
    """[1, h, w, C] as [1, C, h, w], which is the shape."""
    return _apply(graph, tfl.BuiltinOperator.TRANSPOSE, values, shape, [0, 3, 1, 2])


def _apply(graph: TfliteGraph, code: int, values: int, shape: list[int], numbers: Sequence[int] = ()) -> int:
    """An operator with one output of this shape; the numbers are its second input, if it has one."""
    inputs = [values]
    if numbers:
        constant = np.array(numbers, np.int32)
        inputs.append(graph.tensor([len(constant)], tfl.TensorType.INT32, data=constant))
    found = graph.tensor(shape, FLOAT)
    graph.operator(code, inputs, found)
    return found
