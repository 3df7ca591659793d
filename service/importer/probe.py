"""One run of a foreign graph, which tells the real shapes of its outputs and the unit of its boxes."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from service.errors import BackendUnavailable, InvalidOption
from service.importer.graph import Graph, Tensor, describe_onnx
from service.importer.nodes import cut_outputs, find_float64_grids, find_pasted, rename_output
from service.types import Pixels

Outputs = Mapping[str, np.ndarray[Any, Any]]


def run_graph(graph: Graph, pixels: Pixels) -> Outputs:
    """The outputs for uint8 [H, W, 3] RGB, which the graph gets as numbers from 0 to 1.

    Raises InvalidOption where the runtime cannot load or run the graph.
    """
    (tensor,) = graph.inputs
    values = fit_values(pixels, tensor)
    return _run_onnx(graph, tensor, values) if graph.runtime == "onnx" else _run_tflite(graph, values)


def cut_pasting(graph: Graph, outputs: Outputs, pixels: Pixels) -> tuple[Graph, Outputs]:
    """The graph without the pasting of masks into the picture, and its outputs; unchanged where it has none.

    Mask R-CNN of torchvision gives a mask of the whole picture for each of up to 100 instances, 369 MB for
    1280 x 720 pixels. It makes them of masks of the boxes, 28 x 28, which say the same.
    """
    pasted = [name for name, each in outputs.items() if each.ndim == 4 and each.shape[2:] == pixels.shape[:2]]
    if graph.runtime != "onnx" or len(pasted) != 1 or graph.inputs[0].rank != 3:
        return graph, outputs
    (masks,) = pasted
    others = [name for name in outputs if name != masks]
    for candidate in find_pasted(graph.content.graph, masks):
        model = copy.deepcopy(graph.content)
        cut_outputs(model, [*others, candidate])
        rename_output(model, candidate, masks)
        cut = describe_onnx(model)
        try:
            found = run_graph(cut, pixels)
        except InvalidOption:  # a tensor of another type, such as a shape
            continue
        if found[masks].ndim == 4 and found[masks].shape[:2] == outputs[masks].shape[:2]:
            return cut, found
    return graph, outputs


def fit_values(pixels: Pixels, tensor: Tensor) -> np.ndarray[Any, Any]:
    """The pixels in the layout and dtype of an input."""
    values = pixels if tensor.dtype == "uint8" else pixels.astype(np.float32) / 255
    if tensor.dtype == "int8":
        return (pixels ^ 0x80).view(np.int8)[None]
    shape = tensor.shape or ()
    if tensor.rank == 3:
        return (
            values.transpose(2, 0, 1).astype(tensor.dtype) if shape[0] == 3 else values.astype(tensor.dtype)
        )
    laid = values[None] if shape[-1] == 3 else values.transpose(2, 0, 1)[None]
    return np.ascontiguousarray(laid, tensor.dtype)


def _run_onnx(graph: Graph, tensor: Tensor, values: np.ndarray[Any, Any]) -> Outputs:
    from service.inference.backends.onnx import import_onnxruntime

    if find_float64_grids(graph.content):
        raise InvalidOption(
            "the graph's GridSample takes float64 grids, which ONNX Runtime cannot compute: export it with a "
            "cast to float32 before each GridSample (in PyTorch: grid.float())"
        )
    runtime = import_onnxruntime()
    settings = runtime.SessionOptions()
    settings.log_severity_level = 4
    try:
        content = graph.content.SerializeToString()
    except ValueError as error:
        raise InvalidOption("the graph has over 2 GB with its weights: export it again in fp16") from error
    try:
        session = runtime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
        names = [each.name for each in session.get_outputs()]
        return dict(zip(names, session.run(names, {tensor.name: values}), strict=True))
    except Exception as error:  # its bindings raise a dozen classes that have only this base in common
        raise InvalidOption(
            f"ONNX Runtime {runtime.__version__} cannot run the graph: {str(error).splitlines()[0]}; export "
            "it again with a newer exporter, or with opset 17"
        ) from error


def _run_tflite(graph: Graph, values: np.ndarray[Any, Any]) -> Outputs:
    from service.inference.backends.tflite import import_tflite

    try:
        native = import_tflite().Interpreter(model_content=graph.content)
        runner = native.get_signature_runner()
        outputs = runner(**{graph.inputs[0].name: values})
        details = runner.get_output_details()
    except BackendUnavailable:
        raise
    except (ValueError, RuntimeError) as error:
        raise InvalidOption(f"the TFLite runtime cannot run the graph: {error}") from error
    return {name: _dequantise(value, details[name]) for name, value in outputs.items()}


def _dequantise(values: np.ndarray[Any, Any], details: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    scale, zero = details["quantization"]
    return values if not scale else (values.astype(np.float32) - np.float32(zero)) * np.float32(scale)
