"""A report as a folder: page, Markdown, picture and data."""

from pathlib import Path

from loadtest.errors import CannotRun
from loadtest.reports.content import Report, write_file, write_json
from loadtest.reports.markdown import to_markdown
from loadtest.reports.page import to_page
from loadtest.reports.plots import draw_picture


def write_folder(report: Report, folder: Path) -> None:
    """report.html, report.md, report.json, and report.png where there is something to plot.

    Raises CannotRun when they cannot be written.
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
