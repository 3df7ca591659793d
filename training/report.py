"""The report of a run: precision, curves, and its worst pictures beside their ground truth."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from service.inference.masks.overlay import draw_overlay
from service.types import BackendInfo, Instance, Pixels, Rle, Segmentation, Size
from training.data.datasets import Datasets, EvaluationSet
from training.data.faults import Fault, describe_faults
from training.data.masks import encode_segmentation
from training.data.pictures import read_image
from training.evaluation.accuracy import IOU_50, best_threshold
from training.evaluation.evaluate import Evaluation
from training.evaluation.matching import Kind, match_detections, pick_matches
from training.evaluation.tables import draw_categories
from training.run_log import plot_curves, read_log

WORST = 8  # pictures in the report
Record = Mapping[str, Any]
HEIGHT, GAP = 360, 8  # pixels, of a pair of pictures
NO_BACKEND = BackendInfo("none", "", "fp32", 0, (), ())


def draw_pair(data: EvaluationSet, entry: Record, detections: Iterable[Record]) -> Pixels:
    """A picture with its annotations, and beside it with its detections: uint8 [HEIGHT, W, 3]."""
    pixels = read_image(data.images / entry["file_name"])
    names = {category["id"]: category["name"] for category in data.content["categories"]}
    sides = [
        [item for item in items if item["image_id"] == entry["id"]]
        for items in (data.content["annotations"], detections)
    ]
    drawn = [_fit(draw_overlay(pixels, make_segmentation(pixels, items, names))) for items in sides]
    gap = np.full((HEIGHT, GAP, 3), 255, np.uint8)
    return np.concatenate([drawn[0], gap, drawn[1]], axis=1)


def make_segmentation(pixels: Pixels, items: Sequence[Record], names: Mapping[int, str]) -> Segmentation:
    """One picture's annotations or detections as an answer of the service, the highest score first."""
    size = Size(*pixels.shape[:2])
    ordered = sorted(items, key=lambda item: -item.get("score", 1.0))
    instances = tuple(_make_instance(item, names[item["category_id"]], size) for item in ordered)
    return Segmentation(size, instances, model="", version="", backend=NO_BACKEND)


def _make_instance(item: Record, label: str, size: Size) -> Instance:
    counts = encode_segmentation(item.get("segmentation"), size)
    x, y, width, height = map(float, item["bbox"])
    return Instance(
        label=label,
        category_id=item["category_id"],
        score=item.get("score", 1.0),
        bbox=(x, y, width, height),
        area=None,
        segmentation=None if counts is None else Rle(size, counts.decode()),
    )


def _fit(pixels: Pixels) -> Pixels:
    width = max(1, round(pixels.shape[1] * HEIGHT / pixels.shape[0]))
    shrinks = pixels.shape[0] > HEIGHT
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(pixels, (width, HEIGHT), interpolation=kind).astype(np.uint8, copy=False)


def stack_pairs(pairs: Sequence[Pixels]) -> Pixels:
    """At least one pair, stacked and padded to the widest: uint8 [N * HEIGHT, W, 3]."""
    width = max(pair.shape[1] for pair in pairs)
    rows = [np.pad(pair, ((0, 0), (0, width - pair.shape[1]), (0, 0)), constant_values=255) for pair in pairs]
    return np.concatenate(rows)


@dataclass(frozen=True, slots=True)
class Case:
    """A picture's found objects, missed objects and wrong detections at IoU 0.5."""

    image_id: int
    found: int
    missed: int
    wrong: int

    @property
    def f1(self) -> float:
        """F1; also 1 if there are neither objects nor detections."""
        total = 2 * self.found + self.missed + self.wrong
        return 2 * self.found / total if total else 1.0


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run.

    detections: on the evaluation pictures, as in COCO's results file. evaluation: of these detections.
    model: the model folder; None if none was exported.
    """

    name: str
    datasets: Datasets
    detections: Sequence[dict[str, Any]]
    evaluation: Evaluation
    model: Path | None

    @property
    def kind(self) -> Kind:
        """Masks, or boxes if no mask is right."""
        return "segm" if self.evaluation.f1 > 0 else "bbox"


def rank_pictures(
    content: Record, detections: Sequence[Record], kind: Kind, *, threshold: float
) -> list[Case]:
    """Every picture of a COCO file, the worst first: by F1, then by the number of mistakes.

    It counts detections with a score of at least `threshold`, and categories that are evaluated in the
    picture.
    """
    kept = [item for item in detections if item["score"] >= threshold]
    tally = {image["id"]: [0, 0, 0] for image in content["images"]}
    for matched in pick_matches(match_detections(content, kept, kind)):
        objects = ~matched["gtIgnore"].astype(bool)
        counted = ~matched["dtIgnore"][IOU_50].astype(bool)
        found = int((matched["gtMatches"][IOU_50][objects] > 0).sum())
        wrong = int((matched["dtMatches"][IOU_50][counted] == 0).sum())
        counts = tally[matched["image_id"]]
        counts[:] = [counts[0] + found, counts[1] + int(objects.sum()) - found, counts[2] + wrong]
    cases = [Case(image_id, *counts) for image_id, counts in tally.items()]
    return sorted(cases, key=lambda case: (case.f1, -case.missed - case.wrong))


def write_report(result: RunResult, folder: Path) -> Path:
    """The path of report.md, written with curves.png and worst/ into the run's folder (next to log.jsonl)."""
    lines = read_log(folder / "log.jsonl")
    plot_curves(lines, folder / "curves.png")
    cases = draw_worst(result, folder / "worst")
    parts = [
        f"# {result.name}",
        _describe_run(result, lines),
        draw_categories(result.evaluation),
        "![loss, average precision, rate and momentum over the run](curves.png)",
        *_describe_cases(cases),
        *_describe_data(result.datasets.faults),
    ]
    report = folder / "report.md"
    report.write_text("\n\n".join(parts) + "\n")
    return report


def choose_threshold(result: RunResult) -> float:
    """The score with the best F1 at IoU 0.5, of masks, or of boxes if there are no masks."""
    return best_threshold(result.datasets.evaluation.content, result.detections, result.kind)[0]


def draw_worst(result: RunResult, folder: Path) -> list[tuple[Case, str]]:
    """Writes the worst pictures, ground truth beside detections; returns each case with its file's name."""
    data, threshold = result.datasets.evaluation, choose_threshold(result)
    entries = {entry["id"]: entry for entry in data.content["images"]}
    shown = [item for item in result.detections if item["score"] >= threshold]
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.jpg"):
        old.unlink()
    drawn = []
    ranked = rank_pictures(data.content, shown, result.kind, threshold=threshold)
    for number, case in enumerate([case for case in ranked if case.f1 < 1][:WORST], 1):
        entry = entries[case.image_id]
        name = f"{number}-{Path(entry['file_name']).stem}.jpg"
        picture = cv2.cvtColor(draw_pair(data, entry, shown), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / name), picture)
        drawn.append((case, name))
    return drawn


def _describe_run(result: RunResult, lines: Sequence[dict[str, Any]]) -> str:
    training, data = result.datasets.training, result.datasets.evaluation
    objects = sum(len(picture.annotations) for picture in training.pictures)
    text = [
        f"Trained on {len(training.pictures)} pictures with {objects} objects, evaluated on "
        f"{len(data.content['images'])} ({data.origin})."
    ]
    if lines:
        text.append(f"The run took {lines[-1]['step']} steps in {lines[-1]['epoch'] + 1} epochs.")
    if validations := [line for line in lines if "mask_ap" in line]:
        best = max(validations, key=lambda line: (line["mask_ap"], line["box_ap"]))
        text.append(f"The best epoch was number {best['epoch'] + 1}, with mask AP {best['mask_ap']:.3f}.")
    text.append(f"The score threshold with the best F1 is {choose_threshold(result):.2f}.")
    if result.model is not None:
        text.append(f"The model is `{result.model}`; the figures are those of the served model.")
    return "\n".join(text)


def _describe_cases(cases: Sequence[tuple[Case, str]]) -> list[str]:
    none = "None: every object was found, and every detection is right."
    texts = ["## Worst pictures", "Ground truth on the left, detections on the right." if cases else none]
    for case, name in cases:
        counts = f"{case.found} found, {case.missed} missed, {case.wrong} wrong"
        texts.append(f"{counts}\n\n![{counts}](worst/{name})")
    return texts


def _describe_data(faults: Sequence[Fault]) -> list[str]:
    if not faults:
        return []
    return ["## Data that was left out", f"```\n{describe_faults(faults)}\n```"]
