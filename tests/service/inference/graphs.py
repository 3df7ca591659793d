"""Small ONNX graphs with random weights, one for each family, and model folders of them.

They compute nothing of use, but other pictures give other values, and a graph has the outputs of its family.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from onnx import TensorProto

from service.inference.backends.base import BackendChoice
from service.inference.backends.onnx import open_onnx
from service.inference.backends.tflite import open_tflite
from service.inference.card import ArtifactFile, Card, Input, Label, Runtime
from service.inference.families import (
    BoxesMasksDecoder,
    Decoder,
    KernelsDecoder,
    MaskListDecoder,
    PrototypesDecoder,
    QueriesDecoder,
    RowsDecoder,
    YoloDecoder,
)
from service.inference.golden import Golden, draw_picture, list_empty, sample_heads
from tests.service.inference.onnx_graph import (
    CELLS,
    CLASSES,
    ROWS,
    SIDE,
    Graph,
    Outputs,
    draw_masks,
    read_size,
    scale_boxes,
    sigmoid_of,
)
from tests.service.inference.tflite_graphs import build_tflite_queries


@dataclass(frozen=True, slots=True)
class FamilyGraph:
    """A graph, and what its card says of it."""

    model: bytes
    input: Input
    decoder: Decoder
    outputs: Outputs
    first_channel: int = 0
    runtime: Runtime = "onnx"


def build_queries() -> FamilyGraph:
    """As RF-DETR: boxes, logits of classes, logits of masks."""
    graph = Graph()
    pixels = graph.read_pixels()
    cells = graph.shrink(pixels)
    graph.connect(cells, (ROWS, CLASSES), name="labels")
    graph.add("Sigmoid", graph.connect(cells, (ROWS, 4)), name="dets")
    draw_masks(graph, pixels, ROWS, name="masks")
    decoder = QueriesDecoder(max_instances=ROWS)
    outputs = {"labels": (ROWS, CLASSES), "dets": (ROWS, 4), "masks": (ROWS, 2 * CELLS, 2 * CELLS)}
    return FamilyGraph(graph.close(outputs, (SIDE, SIDE)), STRETCHED, decoder, outputs)


def build_boxless_queries() -> FamilyGraph:
    """As Mask2Former: logits of classes with the background last, and masks."""
    graph = Graph()
    pixels = graph.read_pixels()
    graph.connect(graph.shrink(pixels), (ROWS, CLASSES + 1), name="labels")
    draw_masks(graph, pixels, ROWS, name="masks")
    decoder = QueriesDecoder(
        boxes=None, activation="softmax", background="last", maskness=True, maskness_side=32
    )
    outputs = {"labels": (ROWS, CLASSES + 1), "masks": (ROWS, 2 * CELLS, 2 * CELLS)}
    return FamilyGraph(graph.close(outputs, (SIDE, SIDE)), STRETCHED, decoder, outputs)


def build_queries_for_tflite() -> FamilyGraph:
    """The same outputs from the other runtime."""
    model = build_tflite_queries(side=SIDE, queries=ROWS, classes=CLASSES)
    return replace(build_queries(), model=model, runtime="tflite")


def build_boxes_masks() -> FamilyGraph:
    """As torchvision's Mask R-CNN: pictures of any size, and a list whose length depends on the picture."""
    graph = Graph()
    pixels = graph.read_pixels()
    sizes = graph.hold(np.array([1, 3, SIDE, SIDE], np.int64))
    cells = graph.shrink(graph.add("Resize", pixels, "", "", sizes, mode="linear"))
    scores = graph.add("Sigmoid", graph.connect(cells, (ROWS,)))
    passing = graph.add("Greater", scores, graph.hold(np.float32(0.3)))
    kept = graph.add("Reshape", passing, graph.hold(np.array([-1], np.int64)))
    classes = graph.add("ArgMax", graph.connect(cells, (ROWS, CLASSES)), axis=2, keepdims=0)
    masks = graph.add("Sigmoid", graph.connect(cells, (ROWS, 1, 7, 7), scale=0.3))
    lists = {
        "boxes": scale_boxes(graph, cells, read_size(graph, pixels)),
        "labels": graph.add("Add", classes, graph.hold(np.int64(1))),
        "scores": scores,
        "masks": masks,
    }
    for name, values in lists.items():
        graph.add("Compress", values, kept, axis=1, name=name)
    outputs = {"boxes": (None, 4), "labels": (None,), "scores": (None,), "masks": (None, 1, 7, 7)}
    model = graph.close(outputs, (None, None))
    return FamilyGraph(model, AS_IS, BoxesMasksDecoder(), outputs, first_channel=1)


def build_mask_list() -> FamilyGraph:
    """As an export of SOLOv2: labels, scores and masks over the canvas."""
    graph = Graph()
    pixels = graph.read_pixels()
    cells = graph.shrink(pixels)
    classes = graph.connect(cells, (ROWS, CLASSES))
    graph.add("ArgMax", classes, axis=2, keepdims=0, name="labels")
    graph.add("Sigmoid", graph.connect(cells, (ROWS,)), name="scores")
    graph.add("Sigmoid", draw_masks(graph, pixels, ROWS), name="masks")
    outputs = {"labels": (ROWS,), "scores": (ROWS,), "masks": (ROWS, 2 * CELLS, 2 * CELLS)}
    return FamilyGraph(graph.close(outputs, (SIDE, SIDE)), LETTERBOXED, MaskListDecoder(), outputs)


def build_yolo() -> FamilyGraph:
    """As YOLOv8 before its NMS: centres and sizes, scores and coefficients of each anchor, in columns."""
    graph = Graph()
    pixels = graph.read_pixels()
    cells = graph.shrink(pixels)
    boxes = graph.add("Mul", sigmoid_of(graph, cells, 4), graph.hold(np.float32(SIDE)))
    rows = graph.add(
        "Concat", boxes, sigmoid_of(graph, cells, CLASSES), graph.connect(cells, (ROWS, 5)), axis=2
    )
    graph.add("Transpose", rows, perm=[0, 2, 1], name="output0")
    draw_masks(graph, pixels, 5, name="output1")
    outputs = {"output0": (4 + CLASSES + 5, ROWS), "output1": (5, 2 * CELLS, 2 * CELLS)}
    model = graph.close(outputs, (SIDE, SIDE))
    return FamilyGraph(model, LETTERBOXED, YoloDecoder(coefficients=5), outputs)


def build_rows() -> FamilyGraph:
    """As YOLO26 from end to end: corners, score, class and coefficients of each row."""
    graph = Graph()
    pixels = graph.read_pixels()
    cells = graph.shrink(pixels)
    corners = scale_boxes(graph, cells, graph.hold(np.float32(SIDE)))
    classes = graph.add("ArgMax", graph.connect(cells, (ROWS, CLASSES)), axis=2, keepdims=1)
    numbers = graph.add("Cast", classes, to=TensorProto.FLOAT)
    coefficients = graph.connect(cells, (ROWS, 5))
    graph.add("Concat", corners, sigmoid_of(graph, cells, 1), numbers, coefficients, axis=2, name="output0")
    draw_masks(graph, pixels, 5, name="output1")
    outputs = {"output0": (ROWS, 6 + 5), "output1": (5, 2 * CELLS, 2 * CELLS)}
    model = graph.close(outputs, (SIDE, SIDE))
    return FamilyGraph(model, LETTERBOXED, RowsDecoder(coefficients=5), outputs)


def build_kernels() -> FamilyGraph:
    """As SOLOv2's raw heads, with one grid of 2 x 2 places."""
    graph = Graph()
    pixels = graph.read_pixels()
    cells = graph.shrink(pixels)
    graph.add("Sigmoid", graph.connect(cells, (4, CLASSES)), name="scores")
    graph.connect(cells, (4, 5), name="kernels")
    draw_masks(graph, pixels, 5, name="features")
    outputs = {"scores": (4, CLASSES), "kernels": (4, 5), "features": (5, 2 * CELLS, 2 * CELLS)}
    decoder = KernelsDecoder(channels=5, grids=((2, 1),))
    return FamilyGraph(graph.close(outputs, (SIDE, SIDE)), LETTERBOXED, decoder, outputs)


def build_prototypes() -> FamilyGraph:
    """As YOLACT's raw heads."""
    graph = Graph()
    pixels = graph.read_pixels()
    cells = graph.shrink(pixels)
    graph.connect(cells, (ROWS, 4), name="loc")
    graph.add("Softmax", graph.connect(cells, (ROWS, 1 + CLASSES)), axis=2, name="conf")
    graph.add("Tanh", graph.connect(cells, (ROWS, 5)), name="mask")
    graph.add("Sigmoid", graph.draw(1, ROWS, 4), name="priors")
    graph.add("Transpose", draw_masks(graph, pixels, 5), perm=[0, 2, 3, 1], name="proto")
    outputs = {
        "loc": (ROWS, 4),
        "conf": (ROWS, 1 + CLASSES),
        "mask": (ROWS, 5),
        "priors": (ROWS, 4),
        "proto": (2 * CELLS, 2 * CELLS, 5),
    }
    decoder = PrototypesDecoder(coefficients=5)
    return FamilyGraph(graph.close(outputs, (SIDE, SIDE)), STRETCHED, decoder, outputs, first_channel=1)


STRETCHED = Input(height=SIDE, width=SIDE, fit="stretch", interpolation="linear")
LETTERBOXED = Input(height=SIDE, width=SIDE, anchor="centre", padding=114, interpolation="linear")
AS_IS = Input(height=SIDE, width=SIDE, fit="as_is")
BUILDERS: Mapping[str, Callable[[], FamilyGraph]] = {
    "queries": build_queries,
    "queries-boxless": build_boxless_queries,
    "queries-tflite": build_queries_for_tflite,
    "boxes_masks": build_boxes_masks,
    "mask_list": build_mask_list,
    "kernels": build_kernels,
    "prototypes": build_prototypes,
    "rows": build_rows,
    "yolo": build_yolo,
}


def write_family(folder: Path, family: str) -> Path:
    """Writes the model folder of a family's graph; returns it."""
    graph = BUILDERS[family]()
    names = ("rose", "leaf", "stem")
    card = Card(
        schema_version=2,
        name=f"toy-{family}",
        version="1",
        description="a toy",
        network="toy",
        input=graph.input,
        labels=tuple(
            Label(category_id=10 + place, name=name, channel=graph.first_channel + place)
            for place, name in enumerate(names)
        ),
        decoder=graph.decoder,
        outputs={name: tuple(shape) for name, shape in graph.outputs.items()},
        parameters=1,
        multiply_adds=1,
        files=(
            ArtifactFile(
                path=f"fp32.{graph.runtime}",
                runtime=graph.runtime,
                precision="fp32",
                sha256=hashlib.sha256(graph.model).hexdigest(),
                bytes=len(graph.model),
            ),
        ),
    )
    open_graph = open_onnx if graph.runtime == "onnx" else open_tflite
    backend = open_graph(graph.model, card, precision="fp32", choice=BackendChoice())
    heads = backend.run(draw_picture(card.canvas, seed=1)[None])
    listed = graph.decoder.listed
    golden = Golden(
        schema_version=1,
        seed=1,
        tolerance={"fp32": 1e-3},
        samples=sample_heads(heads, seed=1, listed=listed),
        empty=list_empty(heads, listed),
    )
    folder.mkdir(parents=True)
    (folder / card.files[0].path).write_bytes(graph.model)
    (folder / "card.json").write_text(card.model_dump_json())
    (folder / "golden.json").write_text(golden.model_dump_json())
    return folder
