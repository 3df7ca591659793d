"""A report as Markdown."""

from loadtest.outcome import Sheet
from loadtest.reports.content import Report
from loadtest.reports.tables import describe_machine_briefly, describe_servers, list_errors, list_sheets


def to_markdown(report: Report) -> str:
    """Everything that is text."""
    parts = [
        f"# Load test: {report.command}",
        f"{report.started_at}, on {describe_machine_briefly(report.machine)}.",
        _to_list(describe_servers(report)),
        *(f"## {sheet.title}\n\n{to_table(sheet)}" for sheet in list_sheets(report)),
        _to_list([f"error: {line}" for line in list_errors(report.outcome.rows)]),
        _to_list([f"warning: {line}" for line in report.warnings]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def to_table(sheet: Sheet) -> str:
    """The first column left, the figures right.

    >>> print(to_table(Sheet("t", ("load", "req/s"), (("4 clients", "90.1"),))))
    | load | req/s |
    |:--|--:|
    | 4 clients | 90.1 |
    """
    rule = "|" + "|".join([":--", *("--:" for _ in sheet.columns[1:])]) + "|"
    return "\n".join([_to_line(sheet.columns), rule, *(_to_line(line) for line in sheet.lines)])


def _to_line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _to_list(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
