"""From two pictures to a served model with YOLACT, mobileYOLACT and CSR + D2S: training, export, answers.

BlitzMask's own round trip is in `export/test_model_folder.py`.
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from service.inference.backends import BackendChoice
from service.inference.card import read_card
from service.inference.segmenter import open_model
from tests.training.conftest import BY_HEART, ROOT, train, write_tiny_set
from training.data.datasets import find_split
from training.data.validate import read_content
from training.evaluation.evaluate import detect, evaluate_detections
from training.recipe import Recipe

RECIPES: dict[str, Recipe] = {
    "yolact": replace(
        BY_HEART,
        network="yolact",
        backbone="resnet50",
        width=0.25,
        neck_channels=32,
        rate=2e-3,
        epochs=300,
        backbone_rate=1.0,
    ),
    "mobile_yolact": replace(
        BY_HEART, network="mobile_yolact", neck_channels=32, epochs=300, backbone_rate=1.0
    ),
    "csr_d2s": replace(
        BY_HEART,
        network="csr",
        backbone="resnet50",
        width=0.25,
        neck_channels=32,
        rate=1e-3,
        epochs=400,
        backbone_rate=1.0,
    ),
}


@pytest.fixture(scope="module", params=RECIPES)
def learnt(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/, run/ and model/ of a network that learnt the data by heart."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "data").mkdir()
    recipe, split = RECIPES[request.param], find_split(write_tiny_set(folder / "data"), "train")
    train(recipe, split, folder / "run")
    # It runs in its own process, because the TFLite exporter starts threads and later tests fork workers.
    command = ["export", folder / "run" / "checkpoint.pt", folder / "model", "--side", recipe.stages[0].side]
    done = subprocess.run(
        [sys.executable, "-m", "training", *map(str, command)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_every_file_finds_what_was_learnt_by_heart(learnt: Path) -> None:
    content = read_content(learnt / "data" / "instances_train.json")
    card = read_card(learnt / "model")
    assert [file.runtime for file in card.files] == ["onnx", "tflite"]
    for file in card.files:
        segmenter = open_model(learnt / "model", BackendChoice(runtime=file.runtime))
        found = [item for one in detect(segmenter, content, learnt / "data" / "images") for item in one]
        evaluation = evaluate_detections(content, found)
        segmenter.close()
        assert evaluation.masks.ap > 0.9, json.dumps(evaluation.to_json())
        assert evaluation.f1 == 1.0
