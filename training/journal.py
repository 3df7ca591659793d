"""What a run tells of itself, step by step."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any


@dataclass(frozen=True, slots=True)
class Means:
    """Average precisions in [0, 1], each the mean over the categories; NaN where there is nothing to find."""

    mask_ap: float = math.nan
    mask_ap50: float = math.nan
    box_ap: float = math.nan
    box_ap50: float = math.nan


@dataclass(frozen=True, slots=True)
class Mark:
    """What an examination said of the averaged network; is_best: no earlier one of the run was as good."""

    means: Means
    is_best: bool


@dataclass(frozen=True, slots=True)
class Report:
    """How a step went; `terms` are the weighted terms of the loss. mark: where an examination followed it."""

    step: int
    epoch: int
    progress: float
    rate: float
    momentum: float
    terms: Mapping[str, float]
    images_per_second: float
    mark: Mark | None = None

    @property
    def loss(self) -> float:
        return sum(self.terms.values())


Listener = Callable[[Report], None]


class JsonLog:
    """Appends a JSON line per `every` steps and per mark, the terms averaged over the steps since the last.

    A run that goes on from a checkpoint overwrites what the first had logged beyond it.
    """

    def __init__(self, path: Path, every: int = 20) -> None:
        self.path, self.every = path, every
        self.recent: list[Report] = []
        self._is_cut = False

    def write(self, report: Report) -> None:
        if not self._is_cut:
            self._cut(report.step)
        self.recent.append(report)
        if len(self.recent) < self.every and report.mark is None:
            return
        with self.path.open("a") as stream:
            stream.write(json.dumps(_describe(self.recent)) + "\n")
        self.recent.clear()

    def _cut(self, step: int) -> None:
        kept = [line for line in read_log(self.path) if line["step"] < step]
        self.path.write_text("".join(f"{json.dumps(line)}\n" for line in kept))
        self._is_cut = True


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a run's log, none where there is no file, without one that a crash cut short."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def _describe(reports: list[Report]) -> dict[str, Any]:
    last = reports[-1]
    line: dict[str, Any] = {
        "step": last.step,
        "epoch": last.epoch,
        "progress": round(last.progress, 5),
        "rate": last.rate,
        "momentum": last.momentum,
        "images_per_second": round(fmean(item.images_per_second for item in reports), 2),
        **{name: round(fmean(item.terms[name] for item in reports), 5) for name in last.terms},
    }
    if last.mark is not None:
        line |= asdict(last.mark.means)
    return line
