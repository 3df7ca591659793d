"""The report of a run for the one who started it: figures, curves, and the worst cases as pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from training.data.datasets import Material
from training.data.validate import Fault, describe_faults
from training.evaluation.accuracy import IOU_50, best_threshold
from training.evaluation.evaluate import Verdict
from training.evaluation.matching import Kind, match_detections, pick_matches
from training.evaluation.tables import draw_categories
from training.run_log import plot_curves, read_log
from training.visualize import draw_pair

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A picture's objects that were found, those that were missed, and detections of nothing; IoU 0.5."""

    image_id: int
    found: int
    missed: int
    wrong: int

    @property
    def f1(self) -> float:
        """1 also where there was nothing to find and nothing was found."""
        total = 2 * self.found + self.missed + self.wrong
        return 2 * self.found / total if total else 1.0


def rank_pictures(
    content: Record, detections: Sequence[Record], kind: Kind, *, threshold: float
) -> list[Case]:
    """Every picture of a COCO file, the worst first: by F1, then by the number of mistakes.

    Only detections scored `threshold` or more count, and only categories judged in that picture.
    """
    kept = [item for item in detections if item["score"] >= threshold]
    tally = {image["id"]: [0, 0, 0] for image in content["images"]}
    for matched in pick_matches(match_detections(content, kept, kind)):
        asked = ~matched["gtIgnore"].astype(bool)
        judged = ~matched["dtIgnore"][IOU_50].astype(bool)
        found = int((matched["gtMatches"][IOU_50][asked] > 0).sum())
        wrong = int((matched["dtMatches"][IOU_50][judged] == 0).sum())
        counts = tally[matched["image_id"]]
        counts[:] = [counts[0] + found, counts[1] + int(asked.sum()) - found, counts[2] + wrong]
    cases = [Case(image_id, *counts) for image_id, counts in tally.items()]
    return sorted(cases, key=lambda case: (case.f1, -case.missed - case.wrong))


WORST = 8  # pictures


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    detections: of the exam's pictures, as in COCO's results file; verdict: on them. model: the artifact
    folder, None where none was exported.
    """

    name: str
    material: Material
    detections: Sequence[dict[str, Any]]
    verdict: Verdict
    model: Path | None

    @property
    def kind(self) -> Kind:
        """Whether masks are what counts, or boxes, where no mask was right."""
        return "segm" if self.verdict.f1 > 0 else "bbox"


def write_summary(outcome: Outcome, folder: Path) -> Path:
    """Writes report.md, curves.png and worst/ into the run's folder; returns the report's path.

    The folder's log.jsonl says how the run went.
    """
    lines = read_log(folder / "log.jsonl")
    plot_curves(lines, folder / "curves.png")
    cases = draw_worst(outcome, folder / "worst")
    parts = [
        f"# {outcome.name}",
        _describe_run(outcome, lines),
        draw_categories(outcome.verdict),
        "![loss, average precision, rate and momentum over the run](curves.png)",
        *_describe_cases(cases),
        *_describe_data(outcome.material.faults),
    ]
    report = folder / "report.md"
    report.write_text("\n\n".join(parts) + "\n")
    return report


def choose_threshold(outcome: Outcome) -> float:
    """The score with the best F1 at IoU 0.5: of masks, or of boxes where there are no masks."""
    return best_threshold(outcome.material.exam.content, outcome.detections, outcome.kind)[0]


def draw_worst(outcome: Outcome, folder: Path) -> list[tuple[Case, str]]:
    """Writes the pictures that went worst, truth beside answer; returns each case with its file's name."""
    exam, threshold = outcome.material.exam, choose_threshold(outcome)
    entries = {entry["id"]: entry for entry in exam.content["images"]}
    shown = [item for item in outcome.detections if item["score"] >= threshold]
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.jpg"):
        old.unlink()
    drawn = []
    ranked = rank_pictures(exam.content, shown, outcome.kind, threshold=threshold)
    for number, case in enumerate([case for case in ranked if case.f1 < 1][:WORST], 1):
        entry = entries[case.image_id]
        name = f"{number}-{Path(entry['file_name']).stem}.jpg"
        cv2.imwrite(str(folder / name), cv2.cvtColor(draw_pair(exam, entry, shown), cv2.COLOR_RGB2BGR))
        drawn.append((case, name))
    return drawn


def _describe_run(outcome: Outcome, lines: Sequence[dict[str, Any]]) -> str:
    lessons, exam = outcome.material.lessons, outcome.material.exam
    objects = sum(len(picture.annotations) for picture in lessons.pictures)
    text = [
        f"Learnt from {len(lessons.pictures)} pictures with {objects} objects, judged by "
        f"{outcome.verdict.images} ({exam.origin})."
    ]
    if lines:
        text.append(f"The run took {lines[-1]['step']} steps in {lines[-1]['epoch'] + 1} epochs.")
    marks = [line for line in lines if "mask_ap" in line]
    if marks:
        best = max(marks, key=lambda line: (line["mask_ap"], line["box_ap"]))
        text.append(f"Epoch {best['epoch'] + 1} was the best of it, mask AP {best['mask_ap']:.3f}.")
    text.append(f"The score threshold with the best F1 is {choose_threshold(outcome):.2f}.")
    if outcome.model is not None:
        text.append(f"The model is `{outcome.model}`, and these are its figures as it is served.")
    return "\n".join(text)


def _describe_cases(cases: Sequence[tuple[Case, str]]) -> list[str]:
    none = "None: in every picture all was found, and nothing that is not there."
    texts = ["## Worst cases", "Left what was asked for, right what was found." if cases else none]
    for case, name in cases:
        counts = f"{case.found} found, {case.missed} missed, {case.wrong} wrong"
        texts.append(f"{counts}\n\n![{counts}](worst/{name})")
    return texts


def _describe_data(faults: Sequence[Fault]) -> list[str]:
    if not faults:
        return []
    return ["## Left out of the data", f"```\n{describe_faults(faults)}\n```"]
