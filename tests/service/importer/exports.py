"""Exports of other tools in miniature: their inputs, outputs, shapes and notes, with random weights.

Every picture gives other values. The graphs take numbers and not bytes, as the tools write them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 64  # of the canvas
ANCHORS = 84  # cells of 8, 16 and 32 pixels on it
CLASSES = 3
PROTOTYPES = 4
ROWS = 6  # queries or instances
NAMES = "{0: 'rose', 1: \"lily's leaf\", 2: 'oak, old'}"
NOTES = {"task": "segment", "stride": "32", "imgsz": f"[{SIDE}, {SIDE}]", "names": NAMES}

Extents = Sequence[int | str]


@dataclass
class Export:
    """Nodes and constants of a graph that is being built."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Appends a node with one output; returns the output's name."""
        name = name or f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def hold(self, values: npt.ArrayLike, dtype: Any = np.float32) -> str:
        """Appends a constant; returns its name."""
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def draw(self, *shape: int) -> str:
        """Appends a constant of random numbers."""
        return self.hold(np.random.default_rng(len(self.constants)).normal(0, 1, shape))

    def summarise(self, picture: str, *, has_batch: bool = True) -> str:
        """A picture of any size as 12 numbers, [1, 12]."""
        whole = picture if has_batch else self.add("Unsqueeze", picture, self.hold([0], np.int64))
        small = self.add("Resize", whole, "", "", self.hold([1, 3, 2, 2], np.int64), mode="linear")
        return self.add("Flatten", small)

    def spread(self, summary: str, *shape: int, squash: bool = False, name: str | None = None) -> str:
        """A fully connected layer from a summary to a shape; squash: to numbers between 0 and 1."""
        found = self.add("MatMul", summary, self.draw(12, int(np.prod(shape))))
        shaped = self.add("Reshape", found, self.hold(shape, np.int64), name=None if squash else name)
        return self.add("Sigmoid", shaped, name=name) if squash else shaped

    def close(
        self,
        takes: tuple[str, Extents],
        gives: Mapping[str, Extents],
        *,
        notes: Mapping[str, str] = NOTES,
        dtype: int = TensorProto.FLOAT,
    ) -> onnx.ModelProto:
        """The checked model; outputs named `labels` or `classes` are whole numbers."""
        outputs = [
            helper.make_tensor_value_info(name, _choose_type(name, shape), shape)
            for name, shape in gives.items()
        ]
        inputs = [helper.make_tensor_value_info(takes[0], dtype, takes[1])]
        graph = helper.make_graph(self.nodes, "export", inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(model, dict(notes))
        onnx.checker.check_model(model)
        return model


def _choose_type(name: str, shape: Extents) -> int:
    return TensorProto.INT64 if name in ("labels", "classes") and len(shape) < 3 else TensorProto.FLOAT


def make_yolo(
    *,
    per_cell: int = 1,
    sides: tuple[int | str, int | str] = (SIDE, SIDE),
    notes: Mapping[str, str] = NOTES,
    scale: float = SIDE,
) -> onnx.ModelProto:
    """Ultralytics' raw outputs, or with 3 per cell YOLOv5's; scale: the largest number of a box."""
    export = Export()
    has_objectness = per_cell == 3
    values = 4 + has_objectness + CLASSES + PROTOTYPES
    summary = export.summarise("images")
    factors = np.ones((1, values, 1))
    factors[:, :4] = scale
    table = export.spread(summary, 1, values, per_cell * ANCHORS, squash=True)
    table = export.add("Mul", table, export.hold(factors), name=None if has_objectness else "output0")
    if has_objectness:
        export.add("Transpose", table, perm=[0, 2, 1], name="output0")
    export.spread(summary, 1, PROTOTYPES, SIDE // 4, SIDE // 4, name="output1")
    tables = [per_cell * ANCHORS, values] if has_objectness else [values, ANCHORS]
    gives = {"output0": [1, *tables], "output1": [1, PROTOTYPES, SIDE // 4, SIDE // 4]}
    return export.close(("images", [1, 3, *sides]), gives, notes=notes)


def make_rows() -> onnx.ModelProto:
    """Ultralytics' final rows: xyxy, score, class, coefficients."""
    export = Export()
    summary = export.summarise("images")
    starts = export.spread(summary, 1, ROWS, 2, squash=True)
    ends = export.add("Add", starts, export.spread(summary, 1, ROWS, 2, squash=True))
    boxes = export.add("Mul", export.add("Concat", starts, ends, axis=2), export.hold(SIDE / 2))
    scores = export.spread(summary, 1, ROWS, 1, squash=True)
    classes = export.add("Floor", export.add("Mul", scores, export.hold(CLASSES - 0.01)))
    weights = export.spread(summary, 1, ROWS, PROTOTYPES)
    export.add("Concat", boxes, scores, classes, weights, axis=2, name="output0")
    export.spread(summary, 1, PROTOTYPES, SIDE // 4, SIDE // 4, name="output1")
    gives = {"output0": [1, ROWS, 6 + PROTOTYPES], "output1": [1, PROTOTYPES, SIDE // 4, SIDE // 4]}
    return export.close(("images", [1, 3, SIDE, SIDE]), gives)


def make_rfdetr(*, slots: int = CLASSES + 1, side: int = 60) -> onnx.ModelProto:
    """RF-DETR's boxes, logits of classes and logits of masks."""
    export = Export()
    summary = export.summarise("input")
    export.spread(summary, 1, ROWS, 4, squash=True, name="dets")
    export.spread(summary, 1, ROWS, slots, name="labels")
    export.spread(summary, 1, ROWS, side // 4, side // 4, name="masks")
    gives = {"dets": [1, ROWS, 4], "labels": [1, ROWS, slots], "masks": [1, ROWS, side // 4, side // 4]}
    return export.close(("input", [1, 3, side, side]), gives, notes={})


def make_mask2former(
    *, names: tuple[str, str] = ("class_queries_logits", "masks_queries_logits")
) -> onnx.ModelProto:
    """Two outputs of queries, whose names alone tell what they are."""
    export = Export()
    summary = export.summarise("pixel_values")
    export.spread(summary, 1, ROWS, CLASSES + 1, name=names[0])
    export.spread(summary, 1, ROWS, SIDE // 4, SIDE // 4, name=names[1])
    gives = {names[0]: [1, ROWS, CLASSES + 1], names[1]: [1, ROWS, SIDE // 4, SIDE // 4]}
    return export.close(("pixel_values", [1, 3, SIDE, SIDE]), gives, notes={})


def make_maskrcnn(
    *, pasted: bool = False, sides: Extents = ("height", "width"), channels: int = 0
) -> onnx.ModelProto:
    """torchvision's list without batch axis; pasted: the masks are enlarged to the picture.

    channels: of the last layers for boxes, which tell the number of classes; 0: there are none.
    """
    export = Export()
    if channels:
        for rows in (channels, 4 * channels):
            export.draw(rows, 10 * channels)
    summary = export.summarise("image", has_batch=False)
    starts = export.spread(summary, ROWS, 2, squash=True)
    ends = export.add("Add", starts, export.spread(summary, ROWS, 2, squash=True))
    export.add("Mul", export.add("Concat", starts, ends, axis=1), export.hold(40.0), name="boxes")
    scores = export.spread(summary, ROWS, squash=True, name="scores")
    whole = export.add("Cast", export.add("Mul", scores, export.hold(CLASSES - 0.01)), to=TensorProto.INT64)
    export.add("Add", whole, export.hold(1, np.int64), name="labels")
    masks = export.spread(summary, ROWS, 1, 28, 28, squash=True, name=None if pasted else "masks")
    if pasted:
        padded = export.add("Pad", masks, export.hold([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
        extents = export.add("Shape", "image", start=1)
        size = export.add("Concat", export.hold([ROWS, 1], np.int64), extents, axis=0)
        export.add("Resize", padded, "", "", size, mode="linear", name="masks")
    picture: Extents = sides if pasted else (28, 28)
    gives: dict[str, Extents] = {
        "boxes": ["n", 4],
        "labels": ["n"],
        "scores": ["n"],
        "masks": ["n", "one", *picture],  # torchvision names the axis, too
    }
    return export.close(("image", [3, *sides]), gives, notes={})


def make_mmdeploy(*, side: int = SIDE, has_boxes: bool = True) -> onnx.ModelProto:
    """mmdeploy's list: boxes with their score, whole-number labels, masks over the canvas, or of boxes."""
    export = Export()
    summary = export.summarise("input")
    starts = export.spread(summary, 1, ROWS, 2, squash=True)
    ends = export.add("Add", starts, export.spread(summary, 1, ROWS, 2, squash=True))
    boxes = export.add("Concat", starts, ends, axis=2)
    boxes = export.add("Mul", boxes, export.hold(SIDE / 2 if has_boxes else 0.0))
    scores = export.spread(summary, 1, ROWS, 1, squash=True)
    export.add("Concat", boxes, scores, axis=2, name="dets")
    whole = export.add("Mul", export.spread(summary, 1, ROWS, squash=True), export.hold(CLASSES - 0.01))
    export.add("Cast", whole, to=TensorProto.INT64, name="labels")
    coarse = export.spread(summary, 1, ROWS, 16, 16, squash=True)
    export.add(
        "Resize", coarse, "", "", export.hold([1, ROWS, side, side], np.int64), mode="linear", name="masks"
    )
    gives: dict[str, Extents] = {"dets": [1, "n", 5], "labels": [1, "n"], "masks": [1, "n", side, side]}
    return export.close(("input", [1, 3, SIDE, SIDE]), gives, notes={})


def make_detectron2() -> onnx.ModelProto:
    """detectron2's list: classes from 0 on, and the size of the picture."""
    model = make_maskrcnn(sides=(SIDE, SIDE))
    (offset,) = [node for node in model.graph.node if node.output[0] == "labels"]
    (labels,) = [each for each in model.graph.output if each.name == "labels"]
    labels.name = "classes"
    offset.CopyFrom(helper.make_node("Identity", [offset.input[0]], ["classes"]))  # torchvision adds 1 here
    size = numpy_helper.from_array(np.array([SIDE, SIDE], np.int64), "size")
    model.graph.initializer.append(size)
    model.graph.node.append(helper.make_node("Identity", ["size"], ["image_size"]))
    model.graph.output.append(helper.make_tensor_value_info("image_size", TensorProto.INT64, [2]))
    return model


def make_sparseinst() -> onnx.ModelProto:
    """Masks over the canvas, scores and labels, without boxes."""
    export = Export()
    summary = export.summarise("images")
    export.spread(summary, 1, ROWS, squash=True, name="scores")
    whole = export.add("Mul", export.spread(summary, 1, ROWS, squash=True), export.hold(CLASSES - 0.01))
    export.add("Cast", whole, to=TensorProto.INT64, name="labels")
    export.spread(summary, 1, ROWS, 16, 16, squash=True, name="masks")
    gives: dict[str, Extents] = {"masks": [1, ROWS, 16, 16], "scores": [1, ROWS], "labels": [1, ROWS]}
    return export.close(("images", [1, 3, SIDE, SIDE]), gives, notes={})


def make_yolact() -> onnx.ModelProto:
    """YOLACT's raw heads, with a single cell of priors for each of 6 places."""
    export = Export()
    summary = export.summarise("images")
    export.spread(summary, 1, ROWS, 4, name="loc")
    export.add("Softmax", export.spread(summary, 1, ROWS, 1 + CLASSES), axis=2, name="conf")
    export.spread(summary, 1, ROWS, PROTOTYPES + 1, name="mask")
    export.add("Sigmoid", export.draw(ROWS, 4), name="priors")
    export.spread(summary, 1, 16, 16, PROTOTYPES + 1, name="proto")
    gives: dict[str, Extents] = {
        "loc": [1, ROWS, 4],
        "conf": [1, ROWS, 1 + CLASSES],
        "mask": [1, ROWS, PROTOTYPES + 1],
        "priors": [ROWS, 4],
        "proto": [1, 16, 16, PROTOTYPES + 1],
    }
    return export.close(("images", [1, 3, SIDE, SIDE]), gives, notes={})


def make_kernels() -> onnx.ModelProto:
    """SOLOv2's raw heads: 3872 places on five grids, each with scores and a kernel."""
    export = Export()
    summary = export.summarise("images")
    places = sum(side**2 for side in (40, 36, 24, 16, 12))
    scores = export.add("Add", export.spread(summary, 1, 1, CLASSES), export.draw(1, places, CLASSES))
    export.add("Sigmoid", export.add("Sub", scores, export.hold(4.0)), name="scores")
    kernels = export.draw(1, places, PROTOTYPES)
    export.add("Add", export.spread(summary, 1, 1, PROTOTYPES), kernels, name="kernels")
    export.spread(summary, 1, PROTOTYPES, 16, 16, name="features")
    gives: dict[str, Extents] = {
        "scores": [1, places, CLASSES],
        "kernels": [1, places, PROTOTYPES],
        "features": [1, PROTOTYPES, 16, 16],
    }
    return export.close(("images", [1, 3, SIDE, SIDE]), gives, notes={})


def make_boxes_only() -> onnx.ModelProto:
    """A detector's single output."""
    export = Export()
    export.spread(export.summarise("images"), 1, 4 + CLASSES, ANCHORS, name="output0")
    gives = {"output0": [1, 4 + CLASSES, ANCHORS]}
    return export.close(("images", [1, 3, SIDE, SIDE]), gives, notes={})


def save(model: onnx.ModelProto, path: Path) -> Path:
    """The file of the model."""
    onnx.save(model, path)
    return path


NAMED: Mapping[str, Callable[[], onnx.ModelProto]] = {  # those that name their classes
    "yolo": make_yolo,
    "yolov5": lambda: make_yolo(per_cell=3),
    "rows": make_rows,
}
UNNAMED: Mapping[str, Callable[[], onnx.ModelProto]] = {
    "rfdetr": make_rfdetr,
    "mask2former": make_mask2former,
    "maskrcnn": make_maskrcnn,
    "rtmdet": make_mmdeploy,
    "mmdet": lambda: make_mmdeploy(side=28),
    "solov2": lambda: make_mmdeploy(has_boxes=False),
    "detectron2": make_detectron2,
    "sparseinst": make_sparseinst,
    "yolact": make_yolact,
    "kernels": make_kernels,
}
