"""Pixels as the numbers of a TFLite graph: the table, and a graph that takes them."""

from typing import Any

import ai_edge_litert.schema_py_generated as tfl
import numpy as np
import pytest

from service.errors import InvalidCard
from service.inference.backends import BackendChoice
from service.inference.backends.graph_input import convert_pixels, make_table
from service.inference.backends.tflite import open_tflite
from service.inference.card import Card, GraphInput, Input
from service.types import Pixels
from tests.fakes import fake_card
from tests.service.conftest import TfliteGraph

IMAGENET = GraphInput(layout="NCHW", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
RTMDET = GraphInput(order="BGR", scale=1, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


def describe(dtype: Any, scale: float | None = None, zero_point: int = 0) -> dict[str, Any]:
    """The details of an input as LiteRT gives them."""
    quantisation = {"scales": [] if scale is None else [scale], "zero_points": [zero_point]}
    return {"dtype": dtype, "quantization_parameters": quantisation}


def draw() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (1, 16, 24, 3), np.uint8)


def convert_slowly(pixels: Pixels, given: GraphInput) -> Any:
    """The preparation as the families write it, in float32."""
    numbers: Any = pixels.astype(np.float32) / np.float32(given.scale)
    numbers = (numbers - np.array(given.mean, np.float32)) / np.array(given.std, np.float32)
    numbers = numbers[..., ::-1] if given.order == "BGR" else numbers
    return numbers.transpose(0, 3, 1, 2) if given.layout == "NCHW" else numbers


@pytest.mark.parametrize("given", [GraphInput(), GraphInput(layout="NCHW"), IMAGENET, RTMDET])
def test_floats_are_bit_equal_to_the_familys_own(given: GraphInput) -> None:
    found = convert_pixels(draw(), given, make_table(given, describe(np.float32)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, convert_slowly(draw(), given))


def test_int8_is_the_byte_minus_128_where_its_steps_are_those_of_bytes() -> None:
    table = make_table(GraphInput(), describe(np.int8, 0.003921568859368563, -128))
    assert table.dtype == np.int8
    np.testing.assert_array_equal(table, np.tile(np.arange(-128, 128), (3, 1)))


def test_numbers_beyond_the_quantisation_are_clipped() -> None:
    table = make_table(IMAGENET, describe(np.uint8, 0.01, 128))
    assert (table.min(), table.max()) == (0, 255)


def test_a_quantised_input_needs_a_scale() -> None:
    with pytest.raises(InvalidCard, match="int8 without one scale"):
        make_table(GraphInput(), describe(np.int8))


def build_copy(shape: list[int], steps: tuple[float, int] | None) -> bytes:
    """A graph that gives back what it takes, as float32, or as int8 with these steps."""
    graph, options = TfliteGraph(), tfl.ReshapeOptionsT()
    kind = tfl.TensorType.FLOAT32 if steps is None else tfl.TensorType.INT8
    source, copy = graph.tensor(shape, kind, steps=steps), graph.tensor(shape, kind, steps=steps)
    options.newShape = shape
    graph.operator(tfl.BuiltinOperator.RESHAPE, [source], copy, options=options)
    return graph.pack(source, {"copy": copy})


def describe_copy(given: GraphInput) -> Card:
    """A card of pictures of 16 x 24 whose one file takes these numbers."""
    (file,) = fake_card().files
    changes = {"runtime": "tflite", "input": given}
    return fake_card().model_copy(
        update={
            "input": Input(height=16, width=24),
            "outputs": {"copy": (None, None, None)},
            "files": (file.model_copy(update=changes),),
        }
    )


@pytest.mark.parametrize(("steps", "error"), [(None, 0.0), ((0.02, -10), 0.0101)])
@pytest.mark.parametrize("given", [GraphInput(), IMAGENET, RTMDET])
def test_a_graph_takes_the_numbers_on_its_card(
    given: GraphInput, steps: tuple[float, int] | None, error: float
) -> None:
    shape = [1, 3, 16, 24] if given.layout == "NCHW" else [1, 16, 24, 3]
    card = describe_copy(given)
    backend = open_tflite(build_copy(shape, steps), card, precision="fp32", choice=BackendChoice())
    expected = convert_slowly(draw(), given)
    if steps is not None:
        least, most = ((limit - steps[1]) * steps[0] for limit in (-128, 127))
        expected = np.clip(expected, least, most)
    np.testing.assert_allclose(backend.run(draw())["copy"], expected, atol=error, rtol=0)
    backend.close()


def test_a_graph_of_another_layout_is_refused() -> None:
    model = build_copy([1, 16, 24, 3], None)
    with pytest.raises(
        InvalidCard, match=r"takes float32 \[1, 16, 24, 3\], expected float32 \[1, 3, 16, 24\]"
    ):
        open_tflite(model, describe_copy(IMAGENET), precision="fp32", choice=BackendChoice())
