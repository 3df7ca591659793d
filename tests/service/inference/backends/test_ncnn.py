"""NCNN's pair of files: one convolution by hand, its heads, and what is refused."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import InvalidCard, InvalidSetting
from service.inference.backends import BackendChoice, open_backend
from service.inference.backends.ncnn import import_ncnn
from service.inference.card import ArtifactFile, Card, GraphInput, Input, Label, Weights, read_card
from service.inference.families import CentersDecoder
from service.inference.golden import Golden, draw_picture, sample_heads
from service.inference.segmenter import open_model
from service.types import Floats, Heads, Options, Pixels, Size

CANVAS = Size(24, 32)
CLASSES, STRIDE = 2, 4
GRAPH = """7767517
6 7
Input pixels 0 1 pixels
Convolution cells 1 1 pixels cells 0=6 1=4 3=4 5=1 6=288
Slice parts 1 2 cells logits sizes -23300=2,2,-233 1=0
Sigmoid scores 1 1 logits scores
Permute heatmap 1 1 scores heatmap 0=3
Permute size 1 1 sizes size 0=3
"""
INPUT = GraphInput(layout="NCHW", mean=(0.5, 0.5, 0.5), std=(0.25, 0.5, 1.0))


def draw_weights() -> tuple[Floats, Floats]:
    """Of the convolution, float32 [6, 3, 4, 4], and its bias, float32 [6]."""
    random = np.random.default_rng(0)
    weight = random.normal(0, 0.3, (CLASSES + 4, 3, STRIDE, STRIDE)).astype(np.float32)
    return weight, np.array([0, 0, 6, 6, 6, 6], np.float32)


def compute_heads(pixels: Pixels) -> Heads:
    """The heads of uint8 [N, H, W, 3] by numpy."""
    weight, bias = draw_weights()
    taken = (pixels / np.float32(255) - np.array(INPUT.mean)) / np.array(INPUT.std)
    count, height, width, _ = taken.shape
    cells = taken.reshape(count, height // STRIDE, STRIDE, width // STRIDE, STRIDE, 3)
    values = (np.einsum("nyixjc,ocij->nyxo", cells, weight) + bias).astype(np.float32)
    return {"heatmap": 1 / (1 + np.exp(-values[..., :CLASSES])), "size": values[..., CLASSES:]}


def write_folder(folder: Path, *, graph: str = GRAPH) -> Path:
    """The model folder of the convolution."""
    folder.mkdir()
    weight, bias = draw_weights()
    flag = np.zeros(1, np.uint32)  # the weights are fp32
    parts = {"m.param": graph.encode(), "m.bin": flag.tobytes() + weight.tobytes() + bias.tobytes()}
    described: dict[str, dict[str, Any]] = {}
    for name, content in parts.items():
        (folder / name).write_bytes(content)
        described[name] = {"path": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    file = ArtifactFile(
        **described["m.param"],
        runtime="ncnn",
        precision="fp32",
        input=INPUT,
        weights=Weights(**described["m.bin"]),
    )
    decoder = CentersDecoder(stride=STRIDE, coefficients=0, score_threshold=0.01)
    card = Card(
        schema_version=2,
        name="convolution",
        version="1",
        description="One convolution.",
        network="toy",
        input=Input(height=CANVAS.height, width=CANVAS.width),
        labels=(Label(category_id=1, name="rose"), Label(category_id=2, name="leaf")),
        decoder=decoder,
        outputs={name: tuple(shape) for name, shape in decoder.output_shapes(CANVAS, CLASSES).items()},
        parameters=1,
        multiply_adds=1,
        files=(file,),
    )
    (folder / "card.json").write_text(card.model_dump_json())
    samples = sample_heads(compute_heads(draw_picture(CANVAS, 1)[None]), 1)
    golden = Golden(schema_version=1, seed=1, tolerance={"fp32": 1e-3}, samples=samples)
    (folder / "golden.json").write_text(golden.model_dump_json())
    return folder


@pytest.mark.parametrize("crowded", [False, True])
def test_it_computes_the_heads_of_each_picture(tmp_path: Path, crowded: bool) -> None:
    folder = write_folder(tmp_path / "model")
    pixels = np.stack([draw_picture(CANVAS, seed) for seed in (1, 2, 3)])
    backend = open_backend(folder, read_card(folder), BackendChoice(runtime="ncnn", threads_alone=2))
    found = backend.run(pixels, crowded=crowded)
    for name, head in compute_heads(pixels).items():
        np.testing.assert_allclose(found[name], head, rtol=1e-4, atol=1e-4)
    info = backend.describe(crowded=crowded)
    assert (info.runtime, info.precision, info.in_effect) == ("ncnn", "fp32", ("CPU",))
    assert info.threads == (1 if crowded else 2)
    backend.close()


@pytest.mark.parametrize(("given", "used"), [(None, "passive"), ("active", "active")])
def test_threads_that_wait_sleep_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, given: str | None, used: str
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", given or "")
    if given is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    import_ncnn()
    assert os.environ["OMP_WAIT_POLICY"] == used


def test_a_model_with_nothing_else_is_served_by_ncnn(tmp_path: Path) -> None:
    segmenter = open_model(write_folder(tmp_path / "model"), BackendChoice())
    answer = segmenter.segment_pixels(draw_picture(Size(48, 64), 5), Options())
    assert answer.backend.runtime == "ncnn"
    assert answer.instances
    segmenter.close()


def test_weights_that_were_changed_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    content = bytearray((folder / "m.bin").read_bytes())
    content[40] ^= 1
    (folder / "m.bin").write_bytes(content)
    with pytest.raises(InvalidCard, match=r"m\.bin is not the file its card describes"):
        open_model(folder, BackendChoice())


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        ("no graph", "NCNN cannot load the model"),
        (GRAPH.replace("heatmap 0=3", "peaks 0=3"), "the graph has no output heatmap"),
        (GRAPH.replace("Sigmoid", "Sigmoyd"), "NCNN cannot load the model"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused(tmp_path: Path, graph: str, reason: str) -> None:
    with pytest.raises(InvalidCard, match=reason):
        open_model(write_folder(tmp_path / "model", graph=graph), BackendChoice())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"weights": None}, "a file has `weights` if, and only if, its runtime is ncnn"),
        ({"runtime": "onnx", "input": None}, "a file has `weights` if, and only if, its runtime is ncnn"),
        ({"input": None}, "describe them as `input`, with the layout NCHW"),
        ({"input": {"layout": "NHWC"}}, "describe them as `input`, with the layout NCHW"),
        ({"path": "m.bin"}, "a file stands twice"),
    ],
)
def test_a_card_without_the_pair_is_refused(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    content = read_card(write_folder(tmp_path / "model")).model_dump()
    content["files"] = [content["files"][0] | change]
    with pytest.raises(ValueError, match=reason):
        Card.model_validate(content)


def test_a_card_of_version_1_knows_no_ncnn(tmp_path: Path) -> None:
    content = read_card(write_folder(tmp_path / "model")).model_dump()
    with pytest.raises(ValueError, match="only schema_version 2 has"):
        Card.model_validate(content | {"schema_version": 1})


def test_it_has_no_providers_or_delegates() -> None:
    with pytest.raises(InvalidSetting, match="providers belong to"):
        BackendChoice(runtime="ncnn", providers=("cuda",))
    with pytest.raises(InvalidSetting, match="delegates belong to TFLite"):
        BackendChoice(runtime="ncnn", delegates=("libedgetpu.so.1",))
