"""TFLite files by litert-torch, and the graph changes that quantisation needs."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor, nn

from service.types import Floats

SIGNATURE, INPUT = "serving_default", "args_0"  # litert-torch's names
ABSENT = -1  # marks an optional input that is not given
NORMALISATION = frozenset(
    {schema.BuiltinOperator.CAST, schema.BuiltinOperator.MUL, schema.BuiltinOperator.SUB}
)


def write_tflite(module: nn.Module, example: Tensor, path: Path) -> None:
    """Writes a TFLite file of the module; its outputs have the names of the module's outputs."""
    import litert_torch  # imported here because it takes seconds and 0.5 GB, and starts threads
    from litert_torch._convert.fx_passes.optimize_layout_transposes_pass import layout_rewrite

    layout_rewrite.rewriters.register(torch.ops.aten.constant_pad_nd.default)(_pad_channels_last)
    litert_torch.convert(module.eval(), (example,)).export(str(path))


def _pad_channels_last(node: Any) -> None:
    """A layout rule for padding, which litert-torch 0.10 lacks: it would transpose the features before and
    after.

    If the padded features have another use, as in MobileNetV1 and ResNet, these transposes would stay in the
    file. With this rule the padding becomes part of the convolution (SAME).
    """
    features, sides, *value = node.args  # sides: from the last axis backwards, two each
    node.args = (features, [0, 0, *sides], *value)


class UnknownNormalisation(ValueError):
    """A graph does not begin with the normalisation that INT8 puts into the scale of its input."""


def strip_normalisation(content: bytes) -> bytes:
    """The file without the normalisation; its input is the normalised image, float32 [1, H, W, 3].

    Raises UnknownNormalisation if the first layers are not a cast, a multiplication and a subtraction, or if
    these treat each colour by itself, as with ResNet-50: one scale cannot do that.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    first, rest = graph.operators[: len(NORMALISATION)], graph.operators[len(NORMALISATION) :]
    if {model.operatorCodes[operator.opcodeIndex].builtinCode for operator in first} != NORMALISATION:
        raise UnknownNormalisation("the graph does not begin with a normalisation")
    numbers = [graph.tensors[place] for operator in first for place in operator.inputs[1:]]
    if any(math.prod(number.shape) > 1 for number in numbers):
        raise UnknownNormalisation("the graph normalises each colour by itself, as ResNet-50 needs it")
    (image,) = first[-1].outputs
    graph.operators, graph.inputs = rest, [image]
    graph.tensors[image].name = f"{SIGNATURE}_{INPUT}".encode()
    model.signatureDefs[0].inputs[0].tensorIndex = image
    _drop_unused_tensors(graph, model.signatureDefs[0])
    return _pack(model, len(content))


def change_depthwise(content: bytes, change: Callable[[Floats], Floats]) -> bytes:
    """The file with changed depthwise kernels; change: maps float32 [1, k, k, channels] to the same shape."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        if code == schema.BuiltinOperator.DEPTHWISE_CONV_2D:
            tensor = graph.tensors[operator.inputs[1]]
            buffer = model.buffers[tensor.buffer]
            kernels = np.frombuffer(bytes(buffer.data), np.float32).reshape(tensor.shape)
            buffer.data = np.frombuffer(change(kernels).astype(np.float32).tobytes(), np.uint8)
    return _pack(model, len(content))


def _pack(model: Any, size: int) -> bytes:
    builder = flatbuffers.Builder(size)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _drop_unused_tensors(graph: Any, signature: Any) -> None:
    """Removes tensors that no operator uses, since the quantiser would need their values, and renumbers the
    rest.
    """
    used = {number for operator in graph.operators for number in (*operator.inputs, *operator.outputs)}
    kept = sorted(used - {ABSENT})
    places = {number: place for place, number in enumerate(kept)} | {ABSENT: ABSENT}
    graph.tensors = [graph.tensors[number] for number in kept]
    for holder in (graph, *graph.operators):
        holder.inputs = [places[number] for number in holder.inputs]
        holder.outputs = [places[number] for number in holder.outputs]
    for tensor in (*signature.inputs, *signature.outputs):
        tensor.tensorIndex = places[tensor.tensorIndex]
