"""A report as one HTML page with its plots, and as a folder with all its forms."""

import io
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtest.measurement.row import TOTAL, Row
from loadtest.reports.content import Finding, Outcome, Report, Series, TextTable, write_file, write_json
from loadtest.reports.tables import (
    describe_machine_briefly,
    describe_servers,
    list_errors,
    list_tables,
    to_markdown,
)
from loadtest.types import CannotRun

Plot: TypeAlias = tuple[str, Callable[[Axes], None]]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
.warning { color: #a60; } .error { color: #c33; }
figure { margin: 1.5rem 0; } figure svg { max-width: 100%; height: auto; background: #fff; }
@media (prefers-color-scheme: dark) { body { background: #181a1b; color: #ddd; } }
"""
_WIDTH, _HEIGHT = 7.0, 3.6  # inches of one plot
_TAILS = (50, 90, 99, 99.9, 99.99)


def to_page(report: Report) -> str:
    """All text and all plots as one HTML page that loads nothing from elsewhere."""
    title = escape(f"Load test: {report.command}")
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>",
        "<meta name=viewport content='width=device-width'>",
        f"<style>{_STYLE}</style><h1>{title}</h1>",
        f"<p>{escape(report.started_at)}, on {escape(describe_machine_briefly(report.machine))}.</p>",
        *(f"<p>{escape(line)}</p>" for line in describe_servers(report)),
        *(f"<p class=warning>warning: {escape(line)}</p>" for line in report.warnings),
        *(f"<p class=error>error: {escape(line)}</p>" for line in list_errors(report.outcome.rows)),
        *(f"<h2>{escape(table.title)}</h2>{_to_html(table)}" for table in list_tables(report)),
        *(f"<h2>{escape(name)}</h2>{_to_figure(svg)}" for name, svg in draw_plots(report.outcome)),
    ]
    return "\n".join(parts) + "</html>\n"


def write_folder(report: Report, folder: Path) -> None:
    """Writes report.html, report.md, report.json, and report.png when there is something to plot.

    Raises CannotRun when that fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotRun(f"cannot make the folder {folder}: {error.strerror}") from error
    write_json(report, folder / "report.json")
    write_file(folder / "report.md", to_markdown(report).encode())
    write_file(folder / "report.html", to_page(report).encode())
    picture = draw_picture(report.outcome)
    if picture:
        write_file(folder / "report.png", picture)


def _to_html(table: TextTable) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in line) for line in table.lines)
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _to_figure(svg: bytes) -> str:
    """The drawing without its XML prologue, which HTML does not allow."""
    text = svg.decode()
    return f"<figure>{text[text.index('<svg') :]}</figure>"


def draw_plots(outcome: Outcome) -> list[tuple[str, bytes]]:
    """Title and SVG of each plot."""
    return [(title, _render(_draw_one(title, draw), "svg")) for title, draw in choose_plots(outcome)]


def draw_picture(outcome: Outcome) -> bytes | None:
    """All plots in one PNG, one below the other; None when there are none."""
    plots = choose_plots(outcome)
    if not plots:
        return None
    figure = Figure(figsize=(_WIDTH, _HEIGHT * len(plots)), layout="constrained")
    for place, (title, draw) in enumerate(plots, 1):
        axes = figure.add_subplot(len(plots), 1, place)
        axes.set_title(title)
        draw(axes)
    return _render(figure, "png")


def choose_plots(outcome: Outcome) -> list[Plot]:
    """Title and drawing function of each plot that the outcome has figures for."""
    rows = [row for row in outcome.rows if row.answered]
    plots: list[Plot] = []
    if len(rows) > 1:
        plots.append(("Latency against throughput", lambda axes: _plot_frontier(axes, rows)))
    if rows:
        plots.append(("Percentiles of latency", lambda axes: _plot_curves(axes, rows)))
        plots.append(("Good answers over time", lambda axes: _plot_timelines(axes, rows)))
    if any(row.stages for row in rows):
        plots.append(("Time in the server, mean", lambda axes: _plot_stages(axes, rows)))
    if any(row.baseline for row in rows):
        plots.append(("Share of the in-process baseline", lambda axes: _plot_shares(axes, rows)))
    plots += [(f"{series.name}".capitalize(), _series_plotter(series)) for series in outcome.series]
    ratios = [finding for finding in outcome.findings if finding.low is not None]
    if ratios:
        plots.append(("Ratios with their 95 % intervals", lambda axes: _plot_intervals(axes, ratios)))
    return plots


def _plot_frontier(axes: Axes, rows: Sequence[Row]) -> None:
    """Points of all rows; lines join them when all loads are of one kind, and their order has a meaning."""
    ordered = sorted(rows, key=lambda row: row.offered or row.clients or 0)
    alike = len({(row.offered is None, row.cameras is None) for row in rows}) == 1
    style = "-" if alike and len({row.clients or row.offered for row in rows}) == len(rows) else ""
    for name in ("p50", "p95", "p99"):
        latencies = [getattr(row.latency, name) for row in ordered]
        axes.plot([row.throughput for row in ordered], latencies, marker="o", linestyle=style, label=name)
    for row in ordered:
        axes.annotate(row.name, (row.throughput, row.latency.p50 or 0), fontsize=7, xytext=(3, -9),
                      textcoords="offset points")  # fmt: skip
    axes.set(xlabel="good answers per second", ylabel="ms", yscale="log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend()


def _plot_curves(axes: Axes, rows: Sequence[Row]) -> None:
    """Percentiles on an axis where every further nine takes the same space."""
    for row in rows:
        points = [point for point in row.curve if point.percent < 100]
        axes.plot([1 / (1 - point.percent / 100) for point in points],
                  [point.milliseconds for point in points], label=row.name)  # fmt: skip
    axes.set(xlabel="percentile", ylabel="ms", xscale="log", yscale="log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xticks([1 / (1 - tail / 100) for tail in _TAILS], [f"{tail:g}" for tail in _TAILS])
    axes.minorticks_off()
    axes.legend(fontsize=7)


def _plot_timelines(axes: Axes, rows: Sequence[Row]) -> None:
    for row in rows:
        seconds = [moment.second + 0.5 for moment in row.timeline]
        (line,) = axes.plot(seconds, [moment.rate for moment in row.timeline], marker=".", label=row.name)
        if row.errors:
            failures = [moment.failures for moment in row.timeline]
            axes.plot(seconds, failures, linestyle=":", color=line.get_color())
    axes.set(xlabel="seconds", ylabel="per second (dotted: failures)", ylim=(0, None))
    axes.legend(fontsize=7)


def _plot_stages(axes: Axes, rows: Sequence[Row]) -> None:
    """Bars of the stages that the server reports, then the rest of the client's latency."""
    names = [name for name in dict.fromkeys(name for row in rows for name in row.stages) if name != TOTAL]
    places = range(len(rows))
    done = [0.0] * len(rows)
    for name in names:
        means = [(row.stages[name].mean or 0.0) if name in row.stages else 0.0 for row in rows]
        axes.barh(places, means, left=done, label=name)
        done = [left + mean for left, mean in zip(done, means, strict=True)]
    outside = [max(0.0, row.outside_ms or 0.0) for row in rows]
    axes.barh(places, outside, left=done, label="outside", color="lightgrey")
    _name_bars(axes, [row.name for row in rows])
    axes.set(xlabel="ms")
    axes.legend(fontsize=7)


def _plot_shares(axes: Axes, rows: Sequence[Row]) -> None:
    known = [(row.name, row.baseline.share.estimate) for row in rows if row.baseline]
    axes.barh(range(len(known)), [share for _, share in known])
    axes.axvline(1, color="black", linewidth=0.8)
    _name_bars(axes, [name for name, _ in known])
    axes.set(xlabel="throughput over baseline")


def _name_bars(axes: Axes, names: Sequence[str]) -> None:
    """Labels the bars from top to bottom, as in the tables."""
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.invert_yaxis()


def _series_plotter(series: Series) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        axes.plot(series.seconds, series.values)
        axes.set(xlabel="seconds", ylabel=series.unit, ylim=(0, None))

    return draw


def _plot_intervals(axes: Axes, findings: Sequence[Finding]) -> None:
    for place, finding in enumerate(findings):
        low, high = finding.low or 0.0, finding.high or 0.0
        axes.plot([low, high], [place, place], color="tab:blue")
        axes.plot([finding.value or 0.0], [place], marker="o", color="tab:blue")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(findings)), [finding.name for finding in findings], fontsize=7)


def _draw_one(title: str, draw: Callable[[Axes], None]) -> Figure:
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    draw(figure.add_subplot())
    return figure


def _render(figure: Figure, kind: str) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format=kind, dpi=110)
    return target.getvalue()
