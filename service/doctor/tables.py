"""Tables for people at a terminal. A long cell is folded into several lines and never cut."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from service.doctor.checks import Finding, State
from service.serving.engine import Model
from service.types import Segmentation

PIPE = 160  # columns
STYLES: dict[State, str] = {"ok": "green", "note": "cyan", "warning": "yellow", "fault": "bold red"}


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal; in a pipe, rows are long enough not to be folded."""
    console = Console()
    (console if console.is_terminal else Console(width=PIPE)).print(table)


def instances_table(image: Path, found: Segmentation) -> Table:
    """The instances of one image, best score first."""
    timings = found.timings
    size = f"{found.image.width} x {found.image.height}"
    table = Table(
        "label",
        "score",
        "x",
        "y",
        "width",
        "height",
        "area",
        title=f"{image} ({size}), {found.model} {found.version}, {timings.total:.1f} ms",
        title_justify="left",
    )
    for instance in found.instances:
        box = [f"{value:.1f}" for value in instance.bbox]
        area = "" if instance.area is None else str(instance.area)
        table.add_row(instance.label, f"{instance.score:.3f}", *box, area)
    return table


def models_table(models: Sequence[Model]) -> Table:
    """The models that can serve, the default first."""
    names = Column("model", width=max(len(model.card.name) for model in models), overflow="fold")
    others = _foldable("version", "input", "labels", "computed by", "mask AP")
    table = Table(names, *others, box=None, pad_edge=False)
    for model in models:
        card, backend = model.card, model.backend.describe()
        in_effect = ", ".join(name.removesuffix("ExecutionProvider") for name in backend.in_effect)
        table.add_row(
            card.name,
            card.version,
            f"{card.input.width} x {card.input.height}",
            str(len(card.labels)),
            f"{backend.runtime} {backend.runtime_version} {backend.precision} {in_effect}",
            _mask_ap(model),
        )
    return table


def settings_table(rows: Iterable[tuple[str, str, str]]) -> Table:
    """Variable, value in effect, meaning."""
    table = Table(*_foldable("variable", "value", "meaning"))
    for row in rows:
        table.add_row(*row)
    return table


def findings_table(findings: Iterable[Finding]) -> Table:
    """The findings, area by area."""
    table = Table(*_foldable("", "", "what", "found"), box=None, pad_edge=False)
    area = None
    for finding in findings:
        if area not in (None, finding.area):
            table.add_section()
        table.add_row(
            finding.area if finding.area != area else "",
            Text(finding.state, style=STYLES[finding.state]),
            escape(finding.subject),
            Text(finding.found).append(f"\n{finding.advice}" if finding.advice else "", "italic"),
        )
        area = finding.area
    return table


def findings_to_json(findings: Iterable[Finding]) -> str:
    """The findings as JSON, a list of objects."""
    return orjson.dumps(list(findings), option=orjson.OPT_INDENT_2).decode()


def _foldable(*headers: str) -> list[Column]:
    return [Column(header, overflow="fold") for header in headers]


def _mask_ap(model: Model) -> str:
    precision = model.backend.describe().precision
    for file in model.card.files:
        if file.precision == precision and file.accuracy is not None:
            return f"{file.accuracy.mask_ap:.3f}"
    return ""
