"""The tables: a narrow terminal cuts nothing, and a pipe folds nothing."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from service.doctor.checks import Finding
from service.doctor.tables import findings_table, models_table, print_table, settings_table
from tests.fakes import FakeModel

NAMES = ("blitzmask-mobilenetv2", "blitzmask-mobilenetv2-192")
ADVICE = "set BLITZ_THREADS_ALONE=1"
TABLES = {
    "models": models_table([FakeModel(name) for name in NAMES]),
    "doctor": findings_table(
        Finding("models", f"{name} onnx int8", "note", "8.4 ms on a slot's threads", ADVICE) for name in NAMES
    ),
    "settings": settings_table([("BLITZ_MODELS_DIR", f"/models/{name}", "a folder") for name in NAMES]),
}


def draw(table: Table, width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # the one above
    return text


@pytest.mark.parametrize("kind", ["models", "doctor"])
def test_names_are_whole_in_an_ordinary_terminal(kind: str) -> None:
    words = draw(TABLES[kind], 80).split()
    assert set(NAMES) <= set(words)


@pytest.mark.parametrize("kind", list(TABLES))
def test_nothing_is_cut_however_narrow_it_is(kind: str) -> None:
    assert "\N{HORIZONTAL ELLIPSIS}" not in draw(TABLES[kind], 50)


@pytest.mark.parametrize("kind", list(TABLES))
def test_a_pipe_gets_whole_lines(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(TABLES[kind])
    lines = capsys.readouterr().out.splitlines()
    assert all(any(name in line for line in lines) for name in NAMES)
