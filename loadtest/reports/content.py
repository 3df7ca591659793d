"""What a run found, as data: every table, page and plot is made from this."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import orjson

from loadtest.errors import CannotRun
from loadtest.machine import Machine
from loadtest.outcome import Outcome
from loadtest.probe import Served

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class SentPhoto:
    """A photo of the mix."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Server:
    """A server that was measured, and what answered there."""

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
    """The report as indented JSON, the outcome's parts at its top level."""
    fields = dataclasses.asdict(report)
    fields |= fields.pop("outcome")
    fields["claims"] = [
        {"name": finding.name, "value": finding.value, "target": finding.target, "met": finding.met}
        for finding in report.outcome.findings
        if finding.met is not None
    ]
    write_file(path, orjson.dumps(fields, option=orjson.OPT_INDENT_2))


def write_file(path: Path, content: bytes) -> None:
    """Raises CannotRun when it cannot be written."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise CannotRun(f"cannot write {path}: {error.strerror}") from error
