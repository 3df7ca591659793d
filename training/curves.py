"""A run at a glance: loss, rate, momentum and average precision over its steps, as one PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

TERMS = ("focal", "l1", "iou", "cross_entropy", "dice")
FIGURES = {"mask_ap": "mask AP", "mask_ap50": "mask AP50", "box_ap": "box AP"}
Line = Mapping[str, Any]


def plot_curves(lines: Sequence[Line], path: Path) -> None:
    """Writes the picture of a log's lines (`journal.read_log`), of which there may be none."""
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
    _plot(axes, lines, [sum(line[name] for name in terms) for line in lines], "all")
    for name in terms:
        _plot(axes, lines, [line[name] for line in lines], name.replace("_", "-"))
    axes.set(title="training loss", xlabel="step", ylim=(0, None))
    _show_names(axes)


def _plot_precision(axes: Axes, lines: Sequence[Line]) -> None:
    for name, label in FIGURES.items():
        _plot(axes, lines, [line[name] for line in lines], label)
    axes.set(title="average precision, val", xlabel="step", ylim=(0, 1))
    _show_names(axes)


def _plot(axes: Axes, lines: Sequence[Line], values: Sequence[float], label: str) -> None:
    if lines:
        axes.plot([line["step"] for line in lines], values, label=label, linewidth=1.3)
    axes.grid(alpha=0.3)


def _show_names(axes: Axes) -> None:
    if axes.lines:
        axes.legend(fontsize="small")
