"""The pictures on which a model does worst."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.accuracy import IOU_50
from training.federation import Kind
from training.matching import match_detections, pick_matches

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
