"""The generated data set."""

import json
from pathlib import Path

import cv2

from service.types import Size
from training.data.datasets import read_datasets
from training.data.masks import decode_counts
from training.data.shapes import COLOURS, shapes


def test_the_generated_set_has_no_faults_and_labels_what_it_shows(tmp_path: Path) -> None:
    shapes(tmp_path, pictures=10, side=96, seed=3)
    datasets = read_datasets(tmp_path, "refuse")
    assert (len(datasets.training.pictures), len(datasets.evaluation.content["images"])) == (8, 2)
    content = json.loads((tmp_path / "instances_train.json").read_text())
    names = {entry["id"]: entry["file_name"] for entry in content["images"]}
    assert len({item["id"] for item in content["annotations"]}) == len(content["annotations"])
    for item in content["annotations"]:
        pixels = cv2.imread(str(tmp_path / "images" / names[item["image_id"]]))
        assert pixels is not None
        counts, size = item["segmentation"]["counts"], Size(*item["segmentation"]["size"])
        inside = decode_counts(counts.encode(), size) > 0
        assert (pixels[inside] == COLOURS[item["category_id"] - 1][::-1]).all()
        assert inside.sum() == item["area"]


def test_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    for name in ("a", "b"):
        shapes(tmp_path / name, pictures=3, side=64, seed=1)
    first, second = ((tmp_path / name / "instances_train.json").read_text() for name in ("a", "b"))
    assert first == second
