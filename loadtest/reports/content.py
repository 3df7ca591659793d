"""The results of a run as data: all tables, pages and plots come from it."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import orjson

from loadtest.measurement.host_stats import Machine
from loadtest.measurement.row import Row
from loadtest.measurement.server_info import Served
from loadtest.types import CannotRun

SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """A figure that answers the command's question; its bounds are a confidence interval of 95 %.

    target: the goal in words; met: whether the value meets it.
    """

    name: str
    value: float | None
    unit: str
    low: float | None = None
    high: float | None = None
    target: str | None = None
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Values over the seconds of a run."""

    name: str
    unit: str
    seconds: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of text; the first column names the line."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Rows in the order of their measurement, and the figures, series and tables that come from them."""

    rows: tuple[Row, ...]
    findings: tuple[Finding, ...] = ()
    series: tuple[Series, ...] = ()
    tables: tuple[TextTable, ...] = ()


@dataclass(frozen=True, slots=True)
class SentPhoto:
    """A photo of the mix."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Server:
    """A server's address, and its description of itself."""

    address: str
    served: Served


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run; `warnings` are reasons to doubt it."""

    command: str
    started_at: str
    machine: Machine
    servers: tuple[Server, ...]
    photos: tuple[SentPhoto, ...]
    outcome: Outcome
    warnings: tuple[str, ...]
    interrupted: bool = False
    schema: int = SCHEMA


def write_json(report: Report, path: Path) -> None:
    """Writes the report as indented JSON, with the outcome's parts at its top level."""
    fields = dataclasses.asdict(report)
    fields |= fields.pop("outcome")
    fields["slo"] = [
        {"name": finding.name, "value": finding.value, "target": finding.target, "met": finding.met}
        for finding in report.outcome.findings
        if finding.met is not None
    ]
    write_file(path, orjson.dumps(fields, option=orjson.OPT_INDENT_2))


def write_file(path: Path, content: bytes) -> None:
    """Writes a file; raises CannotRun when that fails."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise CannotRun(f"cannot write {path}: {error.strerror}") from error
