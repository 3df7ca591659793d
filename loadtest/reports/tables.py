"""A report as text: its tables, with the same columns everywhere, on the terminal and as Markdown."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from loadtest.generators.rest import read_problem
from loadtest.measurement.host_stats import Machine
from loadtest.measurement.row import Row
from loadtest.measurement.statistics import Interval
from loadtest.reports.content import Finding, Report, TextTable

_COUNTED_REQUESTS = ("blitzmask_requests_total", "blitzmask_rejected_total")


def list_tables(report: Report) -> list[TextTable]:
    """All tables of a report that are not empty."""
    outcome = report.outcome
    tables = [
        _tabulate_rows(outcome.rows),
        _tabulate_shares(outcome.rows),
        _tabulate_stages(outcome.rows),
        _tabulate_cameras(outcome.rows),
        _tabulate_counters(outcome.rows),
        *outcome.tables,
        _tabulate_findings(outcome.findings),
    ]
    return [table for table in tables if table.lines]


def describe_servers(report: Report) -> list[str]:
    """A line per server: its address, its model, and the photos that were sent."""
    sent = f"{len(report.photos)} photos" if len(report.photos) != 1 else report.photos[0].name
    size = sum(photo.bytes for photo in report.photos) / max(1, len(report.photos)) / 1000
    return [
        f"{server.address}: {server.served.model} {server.served.version}, "
        f"{server.served.runtime} {server.served.precision}; {sent}, {size:.0f} kB each"
        for server in report.servers
    ]


def describe_machine_briefly(machine: Machine) -> str:
    """The machine in a line."""
    return (
        f"{machine.cores} cores of {machine.cpu}, {machine.memory_gb:g} GB, {machine.system}, "
        f"Python {machine.python}"
    )


def list_errors(rows: Sequence[Row]) -> list[str]:
    """A line per row and kind of error, with the first explanation."""
    return [
        f"{row.name}: {count} x {kind}: {read_problem(row.examples.get(kind, ''))}"
        for row in rows
        for kind, count in row.errors.items()
    ]


def show(value: float | None, *, digits: int = 1) -> str:
    """A figure for a table.

    >>> show(12.345), show(None)
    ('12.3', '-')
    """
    return "-" if value is None else f"{value:.{digits}f}"


def show_briefly(value: float | None) -> str:
    """A figure of any size with at most four decimals.

    >>> show_briefly(27400), show_briefly(0.9), show_briefly(0.04648)
    ('27400', '0.9', '0.0465')
    """
    return "-" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")


def show_bounds(ratio: Interval | None) -> str:
    """The bounds of an interval.

    >>> show_bounds(Interval(0.95, 0.931, 0.962)), show_bounds(Interval(0.95)), show_bounds(None)
    ('0.93-0.96', '-', '-')
    """
    if ratio is None or ratio.low is None or ratio.high is None:
        return "-"
    return f"{ratio.low:.2f}-{ratio.high:.2f}"


def _tabulate_rows(rows: Sequence[Row]) -> TextTable:
    columns = ("load", "req/s", "p50 ms", "p95 ms", "p99 ms", "errors", "own ms", "server ms")
    return TextTable("throughput and latency", columns, tuple(_to_cells(row) for row in rows))


def _to_cells(row: Row) -> tuple[str, ...]:
    latency = row.latency
    return (
        row.name,
        show(row.throughput),
        *(show(value) for value in (latency.p50, latency.p95, latency.p99)),
        str(sum(row.errors.values())),
        show(row.generator_ms, digits=2),
        show(row.server_ms, digits=2),
    )


def _tabulate_shares(rows: Sequence[Row]) -> TextTable:
    columns = ("load", "req/s", "baseline/s", "share", "95 %", "client ms", "net share", "95 %")
    lines = tuple(
        (
            row.name,
            show(row.throughput),
            show(row.baseline.rate),
            show(row.baseline.share.estimate, digits=3),
            show_bounds(row.baseline.share),
            show(row.baseline.client_ms, digits=2),
            show(row.baseline.net.estimate if row.baseline.net else None, digits=3),
            show_bounds(row.baseline.net),
        )
        for row in rows
        if row.baseline
    )
    return TextTable("share of the in-process baseline", columns, lines)


def _tabulate_stages(rows: Sequence[Row]) -> TextTable:
    """The mean of every stage that the server reports, and of the rest of the latency."""
    names = tuple(dict.fromkeys(name for row in rows for name in row.stages))
    lines = tuple(
        (
            row.name,
            *(show(row.stages[name].mean if name in row.stages else None, digits=2) for name in names),
            show(row.outside_ms, digits=2),
        )
        for row in rows
        if row.stages
    )
    return TextTable("time in the server, mean ms", ("load", *names, "outside"), lines)


def _tabulate_cameras(rows: Sequence[Row]) -> TextTable:
    lines = tuple(
        (
            row.name,
            show(row.throughput),
            *(show(age) for age in (row.latency.p50, row.latency.p95, row.latency.p99)),
            str(row.cameras.dropped),
            str(row.cameras.skipped),
            show(row.cameras.fairness, digits=2),
        )
        for row in rows
        if row.cameras
    )
    columns = ("cameras", "frames/s", "age p50", "age p95", "age p99", "dropped", "skipped", "fairness")
    return TextTable("streams, ages in ms", columns, lines)


def _tabulate_counters(rows: Sequence[Row]) -> TextTable:
    """The server's own count of requests by outcome, warm-ups included."""
    lines = tuple(
        (row.name, name.removeprefix("blitzmask_"), show(count, digits=0))
        for row in rows
        for name, count in row.metrics.items()
        if name.startswith(_COUNTED_REQUESTS) and "/metrics" not in name
    )
    return TextTable("the server's own count", ("load", "counter", "requests"), lines)


def _tabulate_findings(findings: Sequence[Finding]) -> TextTable:
    lines = tuple(
        (
            finding.name,
            f"{show_briefly(finding.value)} {finding.unit}".strip(),
            "-" if finding.low is None else f"{show_briefly(finding.low)} to {show_briefly(finding.high)}",
            finding.target or "-",
            {True: "yes", False: "NO", None: "-"}[finding.met],
        )
        for finding in findings
    )
    return TextTable("findings", ("finding", "value", "95 % interval", "target", "met"), lines)


def print_report(report: Report, console: Console) -> None:
    """Prints all text; long lines are not broken, so that a search finds them."""
    for line in describe_servers(report):
        console.print(line, highlight=False, soft_wrap=True)
    for table in list_tables(report):
        console.print(to_rich(table))
    for line in list_errors(report.outcome.rows):
        console.print(f"error: {line}", style="red", highlight=False, soft_wrap=True, markup=False)
    for warning in report.warnings:
        console.print(f"warning: {warning}", style="yellow", highlight=False, soft_wrap=True, markup=False)


def to_rich(table: TextTable) -> Table:
    """The first column left, the figures right."""
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False, title=table.title, title_justify="left")
    for place, column in enumerate(table.columns):
        shown.add_column(column, justify="right" if place else "left", no_wrap=place > 0)
    for line in table.lines:
        shown.add_row(*line)
    return shown


def to_markdown(report: Report) -> str:
    """All text."""
    parts = [
        f"# Load test: {report.command}",
        f"{report.started_at}, on {describe_machine_briefly(report.machine)}.",
        _to_markdown_list(describe_servers(report)),
        *(f"## {table.title}\n\n{to_markdown_table(table)}" for table in list_tables(report)),
        _to_markdown_list([f"error: {line}" for line in list_errors(report.outcome.rows)]),
        _to_markdown_list([f"warning: {line}" for line in report.warnings]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def to_markdown_table(table: TextTable) -> str:
    """The first column left, the figures right.

    >>> print(to_markdown_table(TextTable("t", ("load", "req/s"), (("4 clients", "90.1"),))))
    | load | req/s |
    |:--|--:|
    | 4 clients | 90.1 |
    """
    rule = "|" + "|".join([":--", *("--:" for _ in table.columns[1:])]) + "|"
    lines = (_to_markdown_line(line) for line in table.lines)
    return "\n".join([_to_markdown_line(table.columns), rule, *lines])


def _to_markdown_line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _to_markdown_list(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
