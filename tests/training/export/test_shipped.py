"""The models of this repository against their cards."""

from pathlib import Path

import numpy as np
import pytest

from loadtest.generators.photos import sample_photos
from service.inference.backends import ALLOWED_LOSS, BackendChoice, choose_file, open_backend
from service.inference.card import ArtifactFile, Card, read_card
from service.inference.golden import draw_picture
from service.inference.segmenter import open_model
from service.types import Heads, Options
from tests.training.export.traces import find_traces
from training.export.precisions import head_cosines

MODELS = sorted(path.parent for path in (Path(__file__).parents[3] / "models").glob("*/card.json"))
LEAST = {"fp32": 0.999999, "fp16": 0.999, "int8": 0.97}  # cosine of each head with that of the first file

pytestmark = pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)


def run_file(folder: Path, card: Card, file: ArtifactFile) -> Heads:
    backend = open_backend(folder, card, BackendChoice(runtime=file.runtime, precision=file.precision))
    try:
        return backend.run(np.stack([draw_picture(card.canvas, seed) for seed in (5, 6)]))
    finally:
        backend.close()


def test_what_is_promised_of_a_shipped_model_is_on_its_card(folder: Path) -> None:
    card = read_card(folder)
    kinds = {(file.runtime, file.precision) for file in card.files}
    assert kinds >= {("onnx", "fp32"), ("onnx", "int8"), ("tflite", "fp16"), ("tflite", "int8")}
    for file in card.files:
        assert file.accuracy is not None, file.path
        assert file.latency is not None, file.path
        assert file.bytes == (folder / file.path).stat().st_size


def test_no_shipped_file_loses_more_than_the_paper_does(folder: Path) -> None:
    first, *others = read_card(folder).files
    assert first.precision == "fp32"
    for file in others:
        assert file.accuracy is not None
        assert first.accuracy is not None
        assert file.accuracy.mask_ap >= first.accuracy.mask_ap - ALLOWED_LOSS, file.path


def test_the_heads_of_every_shipped_file_are_those_of_fp32(folder: Path) -> None:
    card = read_card(folder)
    expected = run_file(folder, card, card.files[0])
    for file in card.files[1:]:
        alike = head_cosines(run_file(folder, card, file), expected)
        assert min(alike.values()) >= LEAST[file.precision], (file.path, alike)


def test_no_shipped_file_tells_of_the_machine_that_it_was_made_on(folder: Path) -> None:
    assert {path.name: find_traces(path) for path in folder.iterdir() if find_traces(path)} == {}


def test_on_a_cpu_the_service_takes_int8_of_it(folder: Path) -> None:
    card = read_card(folder)
    assert choose_file(card, BackendChoice()).precision == "int8"


def test_fewer_instances_or_a_higher_threshold_keep_the_best_of_all(folder: Path) -> None:
    segmenter = open_model(folder, BackendChoice())
    compared = 0
    for photo in sample_photos():
        everything = segmenter.segment(photo.data, Options(score_threshold=0.1)).instances
        for count, last in enumerate(everything, start=1):
            few = Options(score_threshold=0.1, max_instances=count)
            assert segmenter.segment(photo.data, few).instances == everything[:count]
            sure = Options(score_threshold=last.score)
            assert segmenter.segment(photo.data, sure).instances == everything[:count]
            compared += 1
    segmenter.close()
    assert compared > len(sample_photos())
