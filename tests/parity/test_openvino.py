"""OpenVINO computes what ONNX Runtime computes, from the files of the models that are served."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from service.inference.backends import Backend, BackendChoice, open_backend
from service.inference.backends.base import PrecisionChoice, RuntimeChoice
from service.inference.card import read_card
from service.inference.golden import draw_picture

MODELS = sorted(card.parent for card in (Path(__file__).parents[2] / "models").glob("*/card.json"))
# The largest difference from ONNX Runtime's fp32, relative to 1 + |value|: bf16 has 8 bits, so each of
# some fifty layers rounds by up to 1 / 256.
TOLERANCE = {"fp32": 1e-3, "bf16": 0.3}


def open_with(folder: Path, runtime: str, precision: str) -> Backend:
    choice = BackendChoice(
        runtime=cast("RuntimeChoice", runtime), precision=cast("PrecisionChoice", precision)
    )
    return open_backend(folder, read_card(folder), choice)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_the_heads_are_those_of_onnx_runtime(folder: Path, precision: str) -> None:
    runtime = pytest.importorskip("openvino", reason="the extra openvino is not installed")
    if precision.upper() not in runtime.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip(f"this processor computes no {precision}")
    pixels = draw_picture(read_card(folder).canvas, seed=5)[None]
    expected = open_with(folder, "onnx", "fp32").run(pixels)
    found = open_with(folder, "openvino", precision).run(pixels)
    for name, head in expected.items():
        difference = np.abs(found[name] - head) / (1 + np.abs(head))
        assert difference.max() < TOLERANCE[precision], name
        assert (difference.max() > 1e-3) == (precision == "bf16"), f"{name} is not computed in {precision}"
