"""Rounding of kernels to fp16, and graphs that cannot become INT8."""

from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from training.export.quantize import round_kernels
from training.export.tflite import UnknownNormalisation, strip_normalisation

SHIPPED = Path(__file__).parents[3] / "models" / "blitzmask-mobilenetv2" / "model.fp32.tflite"


@pytest.fixture
def edges() -> np.ndarray:
    """Kernels like those of MobileNet's first block: taps around 50 whose sum is near 0."""
    kernels = np.random.default_rng(1).normal(0, 30, (64, 9)).astype(np.float32)
    kernels[:, -1] = -kernels[:, :-1].sum(axis=1) + 0.01
    return kernels


def test_rounded_kernels_fit_fp16_and_keep_their_sums(edges: np.ndarray) -> None:
    settled = round_kernels(edges)
    np.testing.assert_array_equal(settled, settled.astype(np.float16))
    rounded = edges.astype(np.float16).astype(np.float64)
    errors = [
        abs(each.sum(axis=1) - edges.sum(axis=1)).mean() for each in (settled.astype(np.float64), rounded)
    ]
    assert errors[0] < errors[1] / 10


def test_no_tap_moves_by_more_than_a_step_of_fp16_of_the_largest(edges: np.ndarray) -> None:
    steps = np.spacing(abs(edges).max(axis=1).astype(np.float16)).astype(np.float32)
    assert (abs(round_kernels(edges) - edges) <= steps[:, None]).all()


def test_what_fp16_can_hold_already_stays(edges: np.ndarray) -> None:
    held = edges.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(round_kernels(held), held)
    assert round_kernels(np.zeros((2, 9), np.float32)).tolist() == np.zeros((2, 9)).tolist()


def test_a_normalisation_of_each_colour_by_itself_is_refused() -> None:
    model = schema.ModelT.InitFromPackedBuf(SHIPPED.read_bytes(), 0)
    graph = model.subgraphs[0]
    factor = graph.tensors[graph.operators[1].inputs[1]]
    factor.shape = np.array([3], np.int32)
    model.buffers[factor.buffer].data = np.tile(model.buffers[factor.buffer].data, 3)
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    assert strip_normalisation(SHIPPED.read_bytes())
    with pytest.raises(UnknownNormalisation, match="each colour by itself"):
        strip_normalisation(bytes(builder.Output()))
