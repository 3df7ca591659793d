"""Every backbone overfits two pictures, is exported to both runtimes, and is served.

`make test-slow` runs it for the two quickest, and `pytest -m "" tests/training/export/test_every_backbone.py`
for all.
"""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ai_edge_litert.interpreter import Interpreter

from service.inference.backends import BackendChoice
from service.inference.segmenter import open_model
from service.types import Options
from tests.training.conftest import train
from training.data.datasets import find_split
from training.evaluation.evaluate import detect, evaluate_detections
from training.networks.blitzmask import BACKBONES
from training.recipe import Recipe, Stage

ROOT = Path(__file__).parents[3]
SIDE = 128
RECIPE = Recipe(
    neck_channels=32,
    epochs=200,
    stages=(Stage(until=0.5, side=SIDE), Stage(until=1.0, side=SIDE, upsampling=3)),
    batch_size=2,
    rate=3e-3,
    backbone_rate=1.0,
    average_decay=0.9,
    bfloat16=False,
    workers=0,
    augmentation=None,
)
QUICKEST = ("mobilenet_v1", "resnet18_star")
CASES = [
    pytest.param(name, marks=pytest.mark.slow if name in QUICKEST else pytest.mark.every_backbone)
    for name in BACKBONES
]


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("backbone", CASES)
def test_a_backbone_learns_two_pictures_by_heart_is_exported_and_serves(
    backbone: str, tiny_set: Path, tmp_path: Path
) -> None:
    run, model = tmp_path / "run", tmp_path / "model"
    recipe = replace(RECIPE, backbone=backbone, width=0.35 if backbone in QUICKEST else 1.0)
    train(recipe, find_split(tiny_set, "train"), run)
    export(run / "checkpoint.pt", model)
    content = json.loads((tiny_set / "instances_train.json").read_text())
    for runtime in ("onnx", "tflite"):
        assert served_mask_ap(model, runtime, content, tiny_set / "images") > 0.9
    operators = Counter(
        item["op_name"] for item in Interpreter(str(model / "model.fp32.tflite"))._get_ops_details()
    )
    assert operators["TRANSPOSE"] + operators["PAD"] == 0


def export(checkpoint: Path, model: Path) -> None:
    """It runs in its own process, because the TFLite exporter starts threads and later tests fork."""
    command = ["-m", "training", "export", str(checkpoint), str(model), "--side", str(SIDE)]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def served_mask_ap(model: Path, runtime: Any, content: dict[str, Any], images: Path) -> float:
    segmenter = open_model(model, BackendChoice(runtime=runtime))
    try:
        answer = segmenter.segment((images / "1.png").read_bytes(), Options(score_threshold=0.3))
        assert {instance.label for instance in answer.instances} == {"disc", "square"}
        found = [item for detections in detect(segmenter, content, images) for item in detections]
        return evaluate_detections(content, found).masks.ap
    finally:
        segmenter.close()
