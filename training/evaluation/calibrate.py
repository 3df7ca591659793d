"""The calibration of a model's scores: a score of 0.5 then means that about half of such answers are right.

An answer is right if it matches an object of its class with a mask IoU of 0.5. The map is an isotonic
regression of right answers on scores (Zadrozny and Elkan, KDD 2002).
"""

import zlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from scipy.optimize import isotonic_regression

from service.inference.backends import BackendChoice
from service.inference.backends.base import PrecisionChoice, RuntimeChoice
from service.inference.calibration import Calibration
from service.inference.card import Card, read_card
from service.inference.segmenter import open_model
from training.data.datasets import find_split, read_split
from training.data.faults import DataRefused
from training.evaluation.accuracy import judge_scores
from training.evaluation.evaluate import collect_answers
from training.evaluation.matching import Record
from training.options import Data, Model

BINS = 12  # points of the map, of equally many right answers each
FEWEST = 30  # right answers; fewer say too little about shares
ERROR_BINS = 10

Scores = npt.NDArray[np.float64]
Hits = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Answered:
    """The network's scores of answers, and whether each answer is right."""

    scores: Scores
    hits: Hits


def calibrate(
    folder: Model,
    data: Data,
    split: Annotated[str, typer.Option(help="The split of the data.")] = "val",
    runtime: Annotated[RuntimeChoice, typer.Option(help="The file to ask.")] = "onnx",
    precision: Annotated[PrecisionChoice, typer.Option(help="The file to ask.")] = "auto",
    threshold: Annotated[float, typer.Option(help="The card's new default threshold.", min=0, max=1)] = 0.5,
) -> None:
    """Write into a model's card which share of its answers with a score is right, as the score to report."""
    content, _ = read_split(find_split(data, split), "skip")
    images = find_split(data, split).images
    with closing(open_model(folder, BackendChoice(runtime=runtime, precision=precision, threads=2))) as model:
        model.card = model.card.model_copy(update={"calibration": None})
        answers = collect_answers(model, content, images, "skip")
    calibration = fit_calibration(judge(answers.content, answers.detections))
    before, after = cross_validate(answers.content, answers.detections)
    typer.echo(f"difference of score and share of right answers: {before:.3f} before, {after:.3f} after,")
    typer.echo("for each half of the pictures with the map of the other half")
    write_calibration(folder, calibration, threshold)


def judge(content: Record, detections: Sequence[Record]) -> Answered:
    """The scores and hits of the detections that are evaluated."""
    scores, hits, _ = judge_scores(content, detections)
    return Answered(scores, hits.astype(bool))


def fit_calibration(answered: Answered) -> Calibration:
    """The map by isotonic regression; raises DataRefused if there are too few right answers."""
    if answered.hits.sum() < FEWEST:
        raise DataRefused(f"{int(answered.hits.sum())} right answers are too few, {FEWEST} are needed")
    means, shares, counts = _bin_answers(answered)
    fitted = isotonic_regression(shares, weights=counts)
    points = [(0.0, 0.0)]
    for first, last in zip(fitted.blocks[:-1], fitted.blocks[1:], strict=True):
        mean = float(np.average(means[first:last], weights=counts[first:last]))
        share = float(fitted.x[first])
        if points[-1][0] < round(mean, 4) < 1 and points[-1][1] < round(share, 4) < 1:
            points.append((round(mean, 4), round(share, 4)))
    return Calibration(points=(*points, (1.0, 1.0)))


def _bin_answers(answered: Answered) -> tuple[Scores, Scores, Scores]:
    """Mean score, share of right answers and count of each bin, in rising order of scores.

    Half an answer is added as right and half as wrong, so that no share is 0 or 1.
    """
    order = np.argsort(answered.scores, kind="stable")
    scores, hits = answered.scores[order], answered.hits[order]
    place = np.minimum(np.cumsum(hits) * BINS // (hits.sum() + 1), BINS - 1)
    counts = np.bincount(place).astype(np.float64)
    used = counts > 0
    means, right, counts = np.bincount(place, scores)[used], np.bincount(place, hits)[used], counts[used]
    return means / counts, (right + 0.5) / (counts + 1), counts


def cross_validate(content: Record, detections: Sequence[Record]) -> tuple[float, float]:
    """The calibration error of plain and of calibrated scores, on pictures that the map has not seen."""
    halves = [judge(part, detections) for part in split_content(content)]
    before, after, count = 0.0, 0.0, 0
    for unseen, seen in (halves, halves[::-1]):
        reported = fit_calibration(seen).report(unseen.scores.astype(np.float32))
        weight = len(unseen.scores)
        before += weight * measure_error(unseen)
        after += weight * measure_error(Answered(reported.astype(np.float64), unseen.hits))
        count += weight
    return before / count, after / count


def split_content(content: Record) -> list[dict[str, Any]]:
    """The content in two halves, by a hash of the file names."""
    sides = {entry["id"]: zlib.crc32(entry["file_name"].encode()) % 2 for entry in content["images"]}
    return [
        {
            **content,
            "images": [entry for entry in content["images"] if sides[entry["id"]] == side],
            "annotations": [item for item in content["annotations"] if sides[item["image_id"]] == side],
        }
        for side in (0, 1)
    ]


def measure_error(answered: Answered) -> float:
    """Expected calibration error: the mean |score - share of right answers| of ten bins, by their counts.

    >>> measure_error(Answered(np.array([0.9, 0.9]), np.array([True, False])))
    0.4
    """
    place = np.minimum((answered.scores * ERROR_BINS).astype(int), ERROR_BINS - 1)
    gaps = np.abs(np.bincount(place, answered.scores) - np.bincount(place, answered.hits))
    return float(gaps.sum() / max(1, len(answered.scores)))


def write_calibration(folder: Path, calibration: Calibration, threshold: float) -> Card:
    """The model's new card, which it writes with the map and the default threshold."""
    card = read_card(folder)
    decoder = card.decoder.model_copy(update={"score_threshold": threshold})
    card = card.model_copy(update={"schema_version": 2, "decoder": decoder, "calibration": calibration})
    draft = folder / "card.json.draft"
    draft.write_text(card.model_dump_json(indent=2) + "\n")
    draft.replace(folder / "card.json")
    return card
