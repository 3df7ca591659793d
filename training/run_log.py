"""The records of a run: step reports, as JSON lines, as TensorBoard scalars and as a picture of curves."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

from service.types import Pixels

TERMS = ("focal", "l1", "iou", "cross_entropy", "dice", "projection")
PRECISIONS = {"mask_ap": "mask AP", "mask_ap50": "mask AP50", "box_ap": "box AP"}
Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MeanPrecision:
    """Average precisions in [0, 1], each the mean over the categories; NaN if there are no objects."""

    mask_ap: float = math.nan
    mask_ap50: float = math.nan
    box_ap: float = math.nan
    box_ap50: float = math.nan


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """The precision of the averaged network; is_best: it is higher than in all earlier validations."""

    means: MeanPrecision
    is_best: bool


@dataclass(frozen=True, slots=True)
class StepReport:
    """The result of a step; terms: the weighted terms of the loss. validation: if one followed the step."""

    step: int
    epoch: int
    progress: float
    rate: float
    momentum: float
    terms: Mapping[str, float]
    images_per_second: float
    validation: ValidationResult | None = None

    @property
    def loss(self) -> float:
        return sum(self.terms.values())


Listener = Callable[[StepReport], None]


class JsonLog:
    """Appends a line per `every` steps and per validation, with the mean terms since the last line.

    A run that resumes from a checkpoint first removes the lines of the steps that it repeats.
    """

    def __init__(self, path: Path, every: int = 20) -> None:
        self.path, self.every = path, every
        self.recent: list[StepReport] = []
        self._is_cut = False

    def write(self, report: StepReport) -> None:
        if not self._is_cut:
            self._cut(report.step)
        self.recent.append(report)
        if len(self.recent) < self.every and report.validation is None:
            return
        with self.path.open("a") as stream:
            stream.write(json.dumps(_describe(self.recent)) + "\n")
        self.recent.clear()

    def _cut(self, step: int) -> None:
        kept = [line for line in read_log(self.path) if line["step"] < step]
        self.path.write_text("".join(f"{json.dumps(line)}\n" for line in kept))
        self._is_cut = True


def read_log(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a run's log; none if there is no file."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def _describe(reports: list[StepReport]) -> dict[str, Any]:
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
    if last.validation is not None:
        line |= asdict(last.validation.means)
    return line


class TensorBoardLog:
    """Writes TensorBoard's event files; draw: gives the picture of a validation, uint8 [H, W, 3]."""

    def __init__(self, folder: Path, draw: Callable[[], Pixels], *, every: int = 10) -> None:
        self.folder, self.draw, self.every = folder, draw, every
        self._writer: SummaryWriter | None = None

    def write(self, report: StepReport) -> None:
        writer = self._open(report.step)
        if report.step % self.every == 0 or report.validation is not None:
            scalars = {f"loss/{name}": value for name, value in report.terms.items()}
            scalars |= {"loss/all": report.loss, "step/rate": report.rate, "step/momentum": report.momentum}
            for name, value in (scalars | {"images_per_second": report.images_per_second}).items():
                writer.add_scalar(name, value, report.step)
        if report.validation is not None:
            for name, value in asdict(report.validation.means).items():
                writer.add_scalar(f"val/{name}", value, report.step)
            writer.add_image("val/truth, detections", self.draw(), report.step, dataformats="HWC")
            writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _open(self, step: int) -> SummaryWriter:
        """The writer; TensorBoard hides what an interrupted run wrote after `step`."""
        if self._writer is None:
            self._writer = SummaryWriter(str(self.folder), purge_step=step)
        return self._writer


def plot_curves(lines: Sequence[Line], path: Path) -> None:
    """Writes a PNG of loss, precision, rate and momentum over the steps; lines: of `read_log`."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    (loss, precision), (rate, momentum) = figure.subplots(2, 2)
    _plot_loss(loss, lines)
    _plot_precision(precision, [line for line in lines if "mask_ap" in line])
    for axes, name in ((rate, "rate"), (momentum, "momentum")):
        _plot(axes, lines, [line[name] for line in lines], name)
        axes.set(title=name, xlabel="step")
    if any(line["rate"] > 0 for line in lines):
        rate.set_yscale("log")
    figure.savefig(path, dpi=110)


def _plot_loss(axes: Axes, lines: Sequence[Line]) -> None:
    terms = [name for name in TERMS if any(name in line for line in lines)]
    _plot(axes, lines, [sum(line.get(name, 0.0) for name in terms) for line in lines], "all")
    for name in terms:
        _plot(axes, lines, [line.get(name, math.nan) for line in lines], name.replace("_", "-"))
    axes.set(title="training loss", xlabel="step", ylim=(0, None))
    _show_legend(axes)


def _plot_precision(axes: Axes, lines: Sequence[Line]) -> None:
    for name, label in PRECISIONS.items():
        _plot(axes, lines, [line[name] for line in lines], label)
    axes.set(title="average precision, val", xlabel="step", ylim=(0, 1))
    _show_legend(axes)


def _plot(axes: Axes, lines: Sequence[Line], values: Sequence[float], label: str) -> None:
    if lines:
        axes.plot([line["step"] for line in lines], values, label=label, linewidth=1.3)
    axes.grid(alpha=0.3)


def _show_legend(axes: Axes) -> None:
    if axes.lines:
        axes.legend(fontsize="small")
