"""fp16 and INT8 conversions of exported ONNX and TFLite graphs.

INT8 is static: weights have a scale per channel, activations a range per tensor, measured on training
pictures. The range is the observed minimum and maximum for ONNX Runtime, and a moving average of them for
TFLite; each was the closest to fp32. `float_heads` names heads whose last convolution and all later layers
stay in floating point. The
heatmap needs this: a range per tensor would cut off its peaks.
"""

import itertools
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from ai_edge_quantizer import qtyping, recipe
from ai_edge_quantizer.quantizer import AlgorithmName, Quantizer
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from service.types import Floats, Pixels
from training.export.tflite import INPUT, SIGNATURE, change_depthwise, strip_normalisation
from training.networks.blitzmask import normalise


def convert_onnx_to_fp16(source: Path, target: Path) -> None:
    """fp16 weights and activations; pixels stay uint8 and heads float32."""
    model = onnx.load(source)
    _round_onnx_kernels(model.graph)
    model = convert_float_to_float16(model, keep_io_types=True)
    # The converter repeats a cast for each use of a constant, and ONNX Runtime refuses repeated names.
    nodes = {node.name: node for node in model.graph.node}
    del model.graph.node[:]
    model.graph.node.extend(nodes.values())
    onnx.save(model, target)


def convert_tflite_to_fp16(source: Path, target: Path) -> None:
    """fp16 weights, which a GPU uses directly and a CPU converts once; pixels stay uint8, heads float32."""
    quantizer = Quantizer(_round_tflite_kernels(source.read_bytes()))
    everything = qtyping.TFLOperationName.ALL_SUPPORTED
    quantizer.add_weight_only_config(".*", everything, 16, algorithm_key=AlgorithmName.FLOAT_CASTING)
    _export(quantizer, None, target)


def round_kernels(kernels: Floats) -> Floats:
    """Kernels rounded to fp16 such that each keeps its sum: float32 [channels, taps].

    Some depthwise kernels of MobileNet are edge filters with taps around 50 that nearly cancel. With
    independent rounding they no longer cancel, which cost 0.25 AP points. Here each tap, from the largest to
    the smallest, also compensates the rounding errors of the taps before it.

    >>> round_kernels(np.array([[40.01, -40.0, 0.001]], np.float32)).sum().round(4)
    np.float32(0.011)
    """
    order = np.argsort(-abs(kernels), axis=1, kind="stable")
    rounded, error = np.empty_like(kernels), np.zeros(len(kernels))
    for places in order.T:
        rows = np.arange(len(kernels))
        wanted = kernels[rows, places] + error
        rounded[rows, places] = wanted.astype(np.float16)
        error = wanted - rounded[rows, places]
    return rounded


def _round_onnx_kernels(graph: Any) -> None:
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv" and (tensor := weights[node.input[1]]).dims[1] == 1:  # [channels, 1, k, k]
            values = onnx.numpy_helper.to_array(tensor)
            rounded = round_kernels(values.reshape(len(values), -1)).reshape(values.shape)
            tensor.CopyFrom(onnx.numpy_helper.from_array(rounded, tensor.name))


def _round_tflite_kernels(content: bytes) -> bytes:
    def round_weights(kernels: Floats) -> Floats:  # [1, k, k, channels]
        return round_kernels(kernels.reshape(-1, kernels.shape[-1]).T).T.reshape(kernels.shape)

    return change_depthwise(content, round_weights)


def quantise_onnx(source: Path, target: Path, pictures: Pixels, *, float_heads: Collection[str] = ()) -> None:
    """INT8 in QDQ format with uint8 activations, because int8 activations are slower than fp32 on x86.

    source: fp32 ONNX of a BlitzMask. pictures: uint8 [N, H, W, 3], canvases of training pictures.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            _PictureReader(pictures),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_float_nodes(onnx.load(prepared).graph, float_heads),
        )


class _PictureReader(CalibrationDataReader):  # type: ignore[misc]
    """The calibration pictures in ONNX Runtime's interface."""

    def __init__(self, pictures: Pixels) -> None:
        self._pictures = iter(pictures)

    def get_next(self) -> dict[str, Pixels] | None:
        picture = next(self._pictures, None)
        return None if picture is None else {"pixels": picture[None]}


def _float_nodes(graph: Any, float_heads: Collection[str]) -> list[str]:
    """The nodes that are not quantised: the normalisation, and the float heads from their last convolution
    on.
    """
    names = [node.name for node in itertools.takewhile(lambda node: node.op_type != "Conv", graph.node)]
    reached = {f"heads.{head}.1.weight" for head in float_heads}
    for node in graph.node:
        if reached.intersection(node.input):
            names.append(node.name)
            reached.update(node.output)
    return names


def quantise_tflite(
    source: Path, target: Path, pictures: Pixels, *, float_heads: Collection[str] = ()
) -> None:
    """Full INT8: the input's scale carries the normalisation, so a quantised input is the pixel minus 128.

    source: fp32 TFLite of a BlitzMask. pictures: uint8 [N, H, W, 3], canvases of training pictures.
    """
    quantizer = Quantizer(strip_normalisation(source.read_bytes()), recipe.static_wi8_ai8())
    for head in float_heads:
        names = f"{SIGNATURE}_{head}_output|Sequential_{head}/torch.nn.modules.conv.Conv2d_1"
        everything = qtyping.TFLOperationName.ALL_SUPPORTED
        quantizer.update_quantization_recipe(names, everything, None, AlgorithmName.NO_QUANTIZE)
    images = [{INPUT: normalise(torch.from_numpy(picture[None])).numpy()} for picture in pictures]
    ranges = quantizer.calibrate({SIGNATURE: images}, num_threads=1)
    tensor = f"{SIGNATURE}_{INPUT}"
    _export(quantizer, ranges | {tensor: _widen(ranges[tensor])}, target)


def _widen(extent: dict[str, Floats]) -> dict[str, Floats]:
    """The range of an input whose levels are those of the pixels, whatever values the pictures have."""
    return {"min": np.full_like(extent["min"], -1), "max": np.full_like(extent["max"], 1)}


def _export(quantizer: Quantizer, ranges: dict[str, Any] | None, target: Path) -> None:
    result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    result.export_model(str(target), overwrite=True)
