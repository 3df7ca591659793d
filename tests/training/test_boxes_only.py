"""A detector without masks: trained, exported, served and evaluated (BlitzMask, sec. 3.1)."""

import json
from pathlib import Path

import pytest

from service.inference.backends import BackendChoice
from service.inference.card import read_card
from service.inference.segmenter import Segmenter, open_model
from service.types import Options, Size
from tests.training.conftest import train
from training.checkpoint import load_network
from training.data.datasets import find_split
from training.evaluation.evaluate import detect, evaluate_detections
from training.export.model_folder import ModelInfo, export_model, export_onnx
from training.recipe import Recipe, Stage

SIDE = 128
RECIPE = Recipe(
    masks=False,
    neck_channels=24,
    width=0.35,
    epochs=80,
    stages=(Stage(until=1.0, side=SIDE),),
    batch_size=2,
    rate=4e-3,
    backbone_rate=1.0,
    average_decay=0.9,
    bfloat16=False,
    workers=0,
    augmentation=None,
)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::FutureWarning")  # of torch about itself, while it exports
def test_a_model_of_boxes_only_finds_boxes_and_gives_no_masks(tiny_set: Path, tmp_path: Path) -> None:
    train(RECIPE, find_split(tiny_set, "train"), tmp_path)
    segmenter = open_onnx_export(tmp_path / "checkpoint.pt", tmp_path / "boxes")
    answer = segmenter.segment((tiny_set / "images" / "1.png").read_bytes(), Options())
    assert {instance.label for instance in answer.instances} == {"disc", "square"}
    assert all(instance.segmentation is None for instance in answer.instances)
    content = json.loads((tiny_set / "instances_train.json").read_text())
    found = [item for items in detect(segmenter, content, tiny_set / "images") for item in items]
    evaluation = evaluate_detections(content, found)
    assert evaluation.boxes.ap > 0.8
    assert evaluation.masks.ap == 0


def open_onnx_export(checkpoint: Path, folder: Path) -> Segmenter:
    network, labels = load_network(checkpoint)
    title = ModelInfo(folder.name, "1.0.0", "Boxes.", labels, Size(SIDE, SIDE))
    export_model(network, title, folder, exporters={"onnx": export_onnx})
    assert set(read_card(folder).outputs) == {"heatmap", "size"}
    return open_model(folder, BackendChoice(runtime="onnx"))
