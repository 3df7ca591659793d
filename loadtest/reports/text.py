"""A report as text: on the terminal, and as Markdown."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from loadtest.reports.content import Report, TextTable
from loadtest.reports.tables import describe_machine_briefly, describe_servers, list_errors, list_tables


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
