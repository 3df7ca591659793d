import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from loadtest.measurement.host_stats import Machine
from loadtest.measurement.row import Cameras
from loadtest.measurement.server_info import Served
from loadtest.measurement.statistics import Latency
from loadtest.reports.content import Finding, Outcome, Report, SentPhoto, Series, Server, TextTable
from loadtest.reports.page import choose_plots, draw_picture, to_page, write_folder
from loadtest.reports.tables import list_errors, list_tables, print_report, to_markdown
from loadtest.types import CannotRun
from tests.loadtest.rows import ROW

SIXTEEN = dataclasses.replace(
    ROW,
    name="16 <clients>",
    clients=16,
    throughput=104.0,
    errors={"http 503": 3},
    examples={"http 503": '{"detail": "the queue\\nis [bold]full"}'},
    cameras=Cameras(16, dropped=5, skipped=2, fairness=0.93),
    metrics={'blitzmask_requests_total{outcome="ok"}': 1043.0, "blitzmask_stage_seconds_sum": 9.5},
)
REPORT = Report(
    command="closed",
    started_at="2026-01-01T00:00:00+00:00",
    machine=Machine("A & B", 2, 8.0, "Linux", "3.11"),
    servers=(Server("http://127.0.0.1:8000", Served("m", "1", "onnxruntime", "fp32")),),
    photos=(SentPhoto("cat.jpg", 150_000),),
    outcome=Outcome(
        (ROW, SIXTEEN),
        (
            Finding("ratio", 0.9, "times", low=0.85, high=0.95),
            Finding("share", 0.5, "", target="at least 1", met=False),
        ),
        (Series("memory", "MB", (0.0, 1.0), (100.0, 110.0)),),
        (TextTable("stages", ("image", "decode"), (("a|b", "1.0"),)),),
    ),
    warnings=("the machine <was> disturbed",),
)
EMPTY = dataclasses.replace(REPORT, servers=(), photos=(), outcome=Outcome(()), warnings=())


def test_the_tables_hold_every_row_stage_camera_and_finding() -> None:
    tables = {sheet.title: sheet for sheet in list_tables(REPORT)}
    throughput = tables["throughput and latency"]
    assert throughput.lines[0] == (
        "4 clients",
        "100.0",
        "40.0",
        "45.0",
        "50.0",
        "0",
        "0.50",
        "19.00",  # 1.9 cores for 10 s, 1000 answers
    )
    shares = tables["share of the in-process baseline"]
    assert shares.lines[0] == ("4 clients", "100.0", "105.0", "0.952", "-", "-", "-", "-")
    assert tables["time in the server, mean ms"].columns == ("load", "queue", "infer", "total", "outside")
    assert tables["time in the server, mean ms"].lines[0][-1] == "2.00"  # 41 - 20 - 19
    assert tables["streams, ages in ms"].lines == (
        ("16 <clients>", "104.0", "40.0", "45.0", "50.0", "5", "2", "0.93"),
    )
    assert tables["the server's own count"].lines == (
        ("16 <clients>", 'requests_total{outcome="ok"}', "1043"),
    )
    assert tables["findings"].lines[0] == ("ratio", "0.9 times", "0.85 to 0.95", "-", "-")
    assert tables["findings"].lines[1][-2:] == ("at least 1", "NO")
    assert list_tables(EMPTY) == []


def test_an_error_is_one_line_with_the_servers_words() -> None:
    assert list_errors([SIXTEEN]) == ["16 <clients>: 3 x http 503: the queue is [bold]full"]


def test_the_terminal_shows_what_servers_say_as_they_say_it() -> None:
    console = Console(width=160, record=True, quiet=True)
    console.quiet = False
    with console.capture() as capture:
        print_report(REPORT, console)
    shown = capture.get()
    assert "http://127.0.0.1:8000: m 1, onnxruntime fp32; cat.jpg, 150 kB each" in shown
    assert "the queue is [bold]full" in shown
    assert "warning: the machine <was> disturbed" in shown


def test_markdown_tables_have_as_many_cells_in_every_line() -> None:
    text = to_markdown(REPORT)
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert "a\\|b" in text
    assert "- warning: the machine <was> disturbed" in text


class Outline(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]


def test_the_page_has_every_table_and_plot_and_loads_nothing() -> None:
    page = to_page(REPORT)
    outline = Outline()
    outline.feed(page)
    assert outline.tags.count("table") == len(list_tables(REPORT))
    assert outline.tags.count("svg") == len(choose_plots(REPORT.outcome)) >= 6
    assert all(link.startswith("#") for link in outline.links)
    assert "@import" not in page
    assert not {"script", "link", "img", "iframe", "clients"} & set(outline.tags)
    assert "16 &lt;clients&gt;" in page
    assert "<?xml" not in page


def test_the_picture_is_a_png_with_something_on_it() -> None:
    picture = draw_picture(REPORT.outcome)
    assert picture is not None
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels.shape[0] > 2 * pixels.shape[1]
    assert pixels.std() > 10
    assert draw_picture(Outcome(())) is None


def test_rows_without_an_answer_are_left_out_of_the_plots() -> None:
    silent = dataclasses.replace(
        ROW, answered=0, latency=Latency(), curve=(), timeline=(), stages={}, baseline=None
    )
    assert choose_plots(Outcome((silent,))) == []
    assert draw_picture(Outcome((silent, ROW))) is not None


def test_a_folder_has_the_report_in_every_form(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "report"
    write_folder(REPORT, folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "report.html", "report.json", "report.md", "report.png",
    ]  # fmt: skip
    data = json.loads((folder / "report.json").read_text())
    assert data["slo"] == [{"name": "share", "value": 0.5, "target": "at least 1", "met": False}]
    assert data["rows"][1]["cameras"]["fairness"] == 0.93
    assert data["schema"] == 2

    write_folder(EMPTY, folder / "empty")
    assert not (folder / "empty" / "report.png").exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotRun, match="cannot make"):
        write_folder(REPORT, tmp_path / "file" / "folder")
