"""Tables for people at a terminal."""

from collections.abc import Iterable
from pathlib import Path

import orjson
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from service.doctor import Finding, State
from service.engine import Model
from service.types import Segmentation

STYLES: dict[State, str] = {"ok": "green", "note": "cyan", "warning": "yellow", "fault": "bold red"}


def instances_table(image: Path, found: Segmentation) -> Table:
    """What was found in one image, best score first."""
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


def models_table(models: Iterable[Model]) -> Table:
    """The models that can serve, the default first."""
    table = Table(
        "model", "version", "network", "input", "labels", "runtime", "precision", "in effect", "mask AP"
    )
    for model in models:
        card, backend = model.card, model.backend.describe()
        table.add_row(
            card.name,
            card.version,
            card.network,
            f"{card.input.width} x {card.input.height}",
            str(len(card.labels)),
            f"{backend.runtime} {backend.runtime_version}",
            backend.precision,
            ", ".join(backend.in_effect),
            _mask_ap(model),
        )
    return table


def settings_table(rows: Iterable[tuple[str, str, str]]) -> Table:
    """Variable, value in effect, meaning."""
    table = Table("variable", "value", "meaning")
    for row in rows:
        table.add_row(*row)
    return table


def findings_table(findings: Iterable[Finding]) -> Table:
    """What the doctor found, area by area."""
    table = Table("", "", "what", "found", "advice", box=None, pad_edge=False)
    area = None
    for finding in findings:
        if area not in (None, finding.area):
            table.add_section()
        table.add_row(
            finding.area if finding.area != area else "",
            Text(finding.state, style=STYLES[finding.state]),
            *map(escape, (finding.subject, finding.found, finding.advice)),
        )
        area = finding.area
    return table


def findings_to_json(findings: Iterable[Finding]) -> str:
    """The same for programs: a list of objects."""
    return orjson.dumps(list(findings), option=orjson.OPT_INDENT_2).decode()


def _mask_ap(model: Model) -> str:
    precision = model.backend.describe().precision
    for file in model.card.files:
        if file.precision == precision and file.accuracy is not None:
            return f"{file.accuracy.mask_ap:.3f}"
    return ""
