"""A model folder of an overfitted network: its files, its card, and the service's answers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.inference.backends import BackendChoice
from service.inference.card import read_card
from service.inference.golden import draw_picture
from service.inference.segmenter import Segmenter, open_model
from service.types import Size
from training.checkpoint import load_network
from training.data.validate import read_content
from training.evaluation.evaluate import detect, evaluate_detections
from training.export.model_folder import ExportMismatch, ModelInfo, check_file, export_model, run_network
from training.networks.families import Network

RUNTIMES = ("onnx", "tflite")


def open_runtime(trained: Path, runtime: Any) -> Segmenter:
    return open_model(trained / "model", BackendChoice(runtime=runtime))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_service_finds_what_was_learnt_by_heart(trained: Path, runtime: str) -> None:
    content = read_content(trained / "data" / "instances_train.json")
    segmenter = open_runtime(trained, runtime)
    found = [item for one in detect(segmenter, content, trained / "data" / "images") for item in one]
    evaluation = evaluate_detections(content, found)
    assert evaluation.masks.ap > 0.9
    assert evaluation.boxes.ap > 0.7
    assert evaluation.f1 == 1.0


def test_both_runtimes_compute_what_pytorch_does_at_any_batch_size(trained: Path) -> None:
    network, _ = load_network(trained / "run" / "checkpoint.pt")
    pixels = np.stack([draw_picture(Size(192, 192), seed) for seed in (5, 6, 7)])
    expected = run_network(network, pixels)
    for runtime in RUNTIMES:
        found = open_runtime(trained, runtime).backend.run(pixels)
        for name, head in expected.items():
            assert np.allclose(found[name], head, rtol=1e-3, atol=1e-3), (runtime, name)


def test_the_card_describes_the_files(trained: Path) -> None:
    card = read_card(trained / "model")
    network, labels = load_network(trained / "run" / "checkpoint.pt")
    assert card.labels == labels
    assert card.outputs["size"] == (48, 48, 4)
    assert card.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert {(file.runtime, file.precision) for file in card.files} == {("onnx", "fp32"), ("tflite", "fp32")}
    assert (trained / "model" / "labels.txt").read_text() == "disc\nsquare\n"


def test_nothing_but_the_model_is_left_beside_it(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {"data", "run", "model"}


def alter(network: Network) -> Network:
    """The network with one weight changed."""
    name = "heads.size.1.bias"
    state = network.state_dict()
    network.load_state_dict(state | {name: state[name] + 0.01})
    return network


def test_a_file_that_computes_something_else_is_refused(trained: Path) -> None:
    card = read_card(trained / "model")
    for file in card.files:
        network, _ = load_network(trained / "run" / "checkpoint.pt")
        assert check_file(network, card, trained / "model", file) < 1e-3
        with pytest.raises(ExportMismatch, match=file.path):
            check_file(alter(network), card, trained / "model", file)


def test_a_failed_export_leaves_the_model_that_stood_there(trained: Path, tmp_path: Path) -> None:
    network, labels = load_network(trained / "run" / "checkpoint.pt")
    old = (trained / "model" / "model.fp32.onnx").read_bytes()

    def export_old(network: Network, canvas: Size, path: Path) -> None:
        path.write_bytes(old)

    title, folder = ModelInfo("tiny", "1.0", "-", labels, Size(192, 192)), tmp_path / "tiny"
    export_model(network, title, folder, exporters={"onnx": export_old})
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ExportMismatch):
        export_model(alter(network), title, folder, exporters={"onnx": export_old})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_golden_values_are_pytorchs(trained: Path) -> None:
    golden = json.loads((trained / "model" / "golden.json").read_text())
    network, _ = load_network(trained / "run" / "checkpoint.pt")
    heads = run_network(network, draw_picture(Size(192, 192), golden["seed"])[None])
    for sample in golden["samples"]:
        assert sample["value"] == pytest.approx(
            float(heads[sample["head"]][0][tuple(sample["at"])]), rel=1e-4, abs=1e-5
        )
