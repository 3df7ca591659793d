"""A report as one HTML page, and as a folder with all its forms."""

from html import escape
from pathlib import Path

from loadtest.reports.content import Report, TextTable, write_file, write_json
from loadtest.reports.plots import draw_picture, draw_plots
from loadtest.reports.tables import describe_machine_briefly, describe_servers, list_errors, list_tables
from loadtest.reports.text import to_markdown
from loadtest.types import CannotRun

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
.warning { color: #a60; } .error { color: #c33; }
figure { margin: 1.5rem 0; } figure svg { max-width: 100%; height: auto; background: #fff; }
@media (prefers-color-scheme: dark) { body { background: #181a1b; color: #ddd; } }
"""


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
