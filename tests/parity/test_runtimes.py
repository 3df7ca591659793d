"""ONNX and TFLite give the same instances, through the models that are served."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data

from service.inference.backends import BackendChoice
from service.inference.card import read_card
from service.inference.masks.rle import decode_rle
from service.inference.segmenter import Segmenter, open_model
from service.types import Instance, Options, Pixels, Rle

MODELS = sorted(card.parent for card in (Path(__file__).parents[2] / "models").glob("*/card.json"))
PHOTOS = ("astronaut", "chelsea", "coffee")
THRESHOLD = 0.1  # low, so that there is much to compare
MARGIN = 1e-3  # of the scores: what lies nearer to the threshold may be in one answer and not in the other


@pytest.fixture(scope="module", params=MODELS, ids=lambda folder: folder.name)
def pair(request: pytest.FixtureRequest) -> tuple[Segmenter, Segmenter]:
    """The same model in both runtimes."""
    folder: Path = request.param
    runtimes = {file.runtime for file in read_card(folder).files if file.precision == "fp32"}
    if runtimes != {"onnx", "tflite"}:
        pytest.skip(f"{folder.name} has fp32 for {', '.join(sorted(runtimes)) or 'no runtime'} only")
    first, second = (
        open_model(folder, BackendChoice(runtime=runtime, precision="fp32")) for runtime in ("onnx", "tflite")
    )
    return first, second


def find(segmenter: Segmenter, photo: Pixels) -> tuple[Instance, ...]:
    return segmenter.segment_pixels(photo, Options(score_threshold=THRESHOLD)).instances


def mask_iou(first: Instance, second: Instance) -> float:
    assert isinstance(first.segmentation, Rle)
    assert isinstance(second.segmentation, Rle)
    masks = decode_rle(first.segmentation), decode_rle(second.segmentation)
    union = np.logical_or(*masks).sum()
    return float(np.logical_and(*masks).sum() / union) if union else 1.0


def counterpart(instance: Instance, others: tuple[Instance, ...]) -> Instance:
    """The one of the same class with the nearest score and box."""
    same = [other for other in others if other.label == instance.label]
    assert same, f"{instance.label} {instance.score:.3f} was found by one runtime only"
    return min(same, key=lambda other: np.abs(np.subtract(other.bbox, instance.bbox)).sum())


@pytest.mark.parametrize("name", PHOTOS)
def test_both_runtimes_find_the_same_instances(pair: tuple[Segmenter, Segmenter], name: str) -> None:
    photo = getattr(skimage.data, name)()
    answers = [find(segmenter, photo) for segmenter in pair]
    assert any(answers), f"nothing found in {name}: nothing compared"
    for ours, theirs in (answers, answers[::-1]):
        for instance in ours:
            if instance.score > THRESHOLD + MARGIN:
                other = counterpart(instance, theirs)
                assert abs(other.score - instance.score) < MARGIN
                np.testing.assert_allclose(other.bbox, instance.bbox, atol=0.5)
                assert mask_iou(other, instance) > 0.98
