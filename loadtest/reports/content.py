"""The results of a run as data: all tables, pages and plots come from it.

The warnings are part of it: they name rows that a disturbed machine or too short a run makes doubtful.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from loadtest.measurement.host_stats import HostStats, Machine
from loadtest.measurement.row import BaselineShare, Row
from loadtest.measurement.server_info import Served
from loadtest.types import CannotRun

SCHEMA = 2

_GENERATOR_CORES = 0.8
_LATE_MS, _LATE_SHARE = 2.0, 0.1  # of the median latency
_OTHERS_CORES = 0.1
_STEAL_CORES = 0.02
_BASELINE_DRIFT = 0.1
_WIDE = 0.1  # interval of a share
_FEW = 100


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


@dataclass(frozen=True, slots=True)
class RowWarning:
    """A warning of one kind; the larger its size, the worse."""

    kind: str
    size: float
    text: str


def list_warnings(rows: Sequence[Row]) -> list[str]:
    """A line per kind of warning: the worst row's, and the number of rows that share it."""
    found = [(warning, row.name) for row in rows for warning in find_warnings(row)]
    lines = []
    for kind in dict.fromkeys(warning.kind for warning, _ in found):
        same = [(warning, name) for warning, name in found if warning.kind == kind]
        worst, name = max(same, key=lambda item: item[0].size)
        others = f" (the worst of {len(same)} such loads out of {len(rows)})" if len(same) > 1 else ""
        lines.append(f"{name}: {worst.text}{others}")
    return lines


def find_warnings(row: Row) -> tuple[RowWarning, ...]:
    """All warnings about a row, none after an undisturbed run."""
    return (
        *_judge_generator(row),
        *_judge_machine(row.host),
        *_judge_baseline(row.baseline),
        *_judge_answers(row),
    )


def _judge_generator(row: Row) -> Iterator[RowWarning]:
    cores = row.host.generator
    if cores > _GENERATOR_CORES:
        text = f"the load test used {cores:.2f} of a core and may be the bottleneck: the server can do more"
        yield RowWarning("generator busy", cores, text)
    late_ms = max(row.host.late_p99_ms, row.sent_late.p99 or 0)
    if late_ms > max(_LATE_MS, _LATE_SHARE * (row.latency.p50 or 0)):
        text = (
            f"the load test ran {late_ms:.1f} ms late (p99) without a free core, and latencies include that"
        )
        yield RowWarning("generator late", late_ms, text)


def _judge_machine(host: HostStats) -> Iterator[RowWarning]:
    others, steal = host.others, host.steal
    if others is not None and others > _OTHERS_CORES:
        yield RowWarning(
            "others", others, f"other processes used {others:.2f} cores: the machine was disturbed"
        )
    if steal > _STEAL_CORES:
        yield RowWarning("steal", steal, f"the hypervisor took {steal:.2f} cores: the machine was disturbed")


def _judge_baseline(baseline: BaselineShare | None) -> Iterator[RowWarning]:
    if baseline is None:
        return
    share = baseline.share
    if share.low is not None and share.high is not None:
        width = share.high - share.low
        if width > _WIDE:
            text = (
                f"the share of the baseline differs much between slices: {share.low:.2f} to {share.high:.2f}"
            )
            yield RowWarning("baseline", width, text)
        return
    first, last = baseline.baselines[0].rate, baseline.baselines[-1].rate
    if abs(last / first - 1) > _BASELINE_DRIFT:
        text = f"the baseline went from {first:.1f} to {last:.1f} images/s: the share is no more exact"
        yield RowWarning("baseline", abs(last / first - 1), text)


def _judge_answers(row: Row) -> Iterator[RowWarning]:
    if 0 < row.answered < _FEW:
        text = f"only {row.answered} answers: p99 is about the slowest of them; run it longer"
        yield RowWarning("few", -row.answered, text)
