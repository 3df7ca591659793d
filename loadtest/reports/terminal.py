"""A report on the terminal."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from loadtest.outcome import Sheet
from loadtest.reports.content import Report
from loadtest.reports.tables import describe_servers, list_errors, list_sheets


def print_report(report: Report, console: Console) -> None:
    """Everything that is text; long lines are not broken, so that they can be searched for."""
    for line in describe_servers(report):
        console.print(line, highlight=False, soft_wrap=True)
    for sheet in list_sheets(report):
        console.print(to_table(sheet))
    for line in list_errors(report.outcome.rows):
        console.print(f"error: {line}", style="red", highlight=False, soft_wrap=True, markup=False)
    for warning in report.warnings:
        console.print(f"warning: {warning}", style="yellow", highlight=False, soft_wrap=True, markup=False)


def to_table(sheet: Sheet) -> Table:
    """A table whose first column is text and whose others are figures."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False, title=sheet.title, title_justify="left")
    for place, column in enumerate(sheet.columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=place > 0)
    for line in sheet.lines:
        table.add_row(*line)
    return table
