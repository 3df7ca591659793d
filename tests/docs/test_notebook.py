"""The example notebook, run cell by cell as Jupyter would, without Jupyter."""

import ast
import contextlib
import io
import json
from typing import Any

import pytest

from service.types import Segmentation
from tests.running import ROOT, RunningServer

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def read_cells() -> list[str]:
    """The code of each cell."""
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """The value that a notebook shows under a cell: that of a last line that is an expression."""
    *lines, last = ast.parse(source).body
    if not isinstance(last, ast.Expr):
        lines, last = [*lines, last], ast.parse("None").body[0]
        assert isinstance(last, ast.Expr)
    exec(compile(ast.Module(lines, []), NOTEBOOK.name, "exec"), names)
    return eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names)


def test_every_cell_runs_and_shows_what_its_text_promises(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        shown = [
            run_cell(server.with_ports(cell).replace("blitzmask_client", "service.client"), names)
            for cell in read_cells()
        ]
    found, shape, _, results, counts, _ = shown
    assert isinstance(found, Segmentation)
    picture = found._repr_png_()
    assert picture is not None
    assert picture.startswith(b"\x89PNG")
    assert shape == (len(found.instances), found.image.height, found.image.width)
    assert len(results) == len(found.instances) > 0
    assert counts == [len(found.instances)] * 8
    corners = [int(line.split()[-2]) for line in printed.getvalue().splitlines() if "corners" in line]
    assert corners == sorted(corners, reverse=True)
    assert len(set(corners)) == 3


def test_it_is_stored_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(not cell["outputs"] for cell in cells if cell["cell_type"] == "code")
