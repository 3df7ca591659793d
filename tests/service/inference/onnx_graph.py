"""The parts of small ONNX graphs with random weights, which compute nothing of use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 48  # of the canvas
CELLS = SIDE // 8
ROWS = 6  # queries, instances, priors
CLASSES = 3

Array = npt.NDArray[Any]
Outputs: TypeAlias = Mapping[str, Sequence[int | None]]  # shapes without the first axis


@dataclass
class Graph:
    """Nodes and constants of a graph that is being built; names are counted."""

    seed: int = 0
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Appends a node with one output; returns the output's name."""
        name = name or f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def hold(self, values: Array | np.generic) -> str:
        """Appends a constant; returns its name."""
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def draw(self, *shape: int, scale: float = 1.0) -> str:
        """Appends a constant of random numbers."""
        random = np.random.default_rng((self.seed, len(self.constants)))
        return self.hold((random.normal(0, scale, shape)).astype(np.float32))

    def read_pixels(self) -> str:
        """uint8 pixels [1, H, W, 3] to floats around 0, [1, 3, H, W]."""
        planes = self.add("Transpose", "pixels", perm=[0, 3, 1, 2])
        floats = self.add("Cast", planes, to=TensorProto.FLOAT)
        bright = self.add("Div", floats, self.hold(np.float32(255)))
        return self.add("Sub", bright, self.hold(np.float32(0.4)))

    def shrink(self, values: str) -> str:
        """[1, 3, SIDE, SIDE] to [1, 3, CELLS, CELLS]."""
        return self.add("AveragePool", values, kernel_shape=[8, 8], strides=[8, 8])

    def connect(
        self, cells: str, shape: Sequence[int], *, name: str | None = None, scale: float = 1.0
    ) -> str:
        """A fully connected layer from the picture's cells to a shape, with an offset."""
        flat, inputs = self.add("Flatten", cells), 3 * CELLS**2
        count = int(np.prod(shape))
        found = self.add("Gemm", flat, self.draw(inputs, count, scale=scale), self.draw(count, scale=scale))
        return self.add("Reshape", found, self.hold(np.array([1, *shape], np.int64)), name=name)

    def close(self, outputs: Outputs, size: tuple[int | None, int | None]) -> bytes:
        """The file of the graph; outputs and size with None for free extents."""
        pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, *size, 3])
        heads = [
            helper.make_tensor_value_info(name, _find_type(name, shape), [1, *shape])
            for name, shape in outputs.items()
        ]
        graph = helper.make_graph(self.nodes, "toy", [pixels], heads, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()


def draw_masks(graph: Graph, pixels: str, count: int, *, name: str | None = None) -> str:
    """[1, count, 2 CELLS, 2 CELLS] from pixels [1, 3, SIDE, SIDE]: values on both sides of 0."""
    return graph.add("Conv", pixels, graph.draw(count, 3, 4, 4), strides=[4, 4], name=name)


def sigmoid_of(graph: Graph, cells: str, count: int) -> str:
    """[1, ROWS, count] between 0 and 1."""
    return graph.add("Sigmoid", graph.connect(cells, (ROWS, count)))


def scale_boxes(graph: Graph, cells: str, size: str) -> str:
    """Boxes xyxy within a picture of this size: [1, ROWS, 4]."""
    starts = graph.add("Mul", sigmoid_of(graph, cells, 2), graph.hold(np.float32(0.6)))
    extents = graph.add("Mul", sigmoid_of(graph, cells, 2), graph.hold(np.float32(0.4)))
    ends = graph.add("Add", starts, extents)
    return graph.add("Mul", graph.add("Concat", starts, ends, axis=2), size)


def read_size(graph: Graph, pixels: str) -> str:
    """The picture's width and height, twice: [4]."""
    extents = graph.add("Cast", graph.add("Shape", pixels, start=2), to=TensorProto.FLOAT)
    return graph.add("Gather", extents, graph.hold(np.array([1, 0, 1, 0], np.int64)))


def _find_type(name: str, shape: Sequence[int | None]) -> int:
    """Lists of labels are whole numbers."""
    return TensorProto.INT64 if name == "labels" and len(shape) == 1 else TensorProto.FLOAT
