"""The table of all networks."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.inference.card import read_card
from training.commands import app
from training.export.comparison import NETWORKS, Published, draw_models, draw_sizes
from training.networks.yolact import YolactArchitecture


def read_rows(lines: list[str]) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_sizes_are_within_two_percent_of_the_papers() -> None:
    header, _, *rows = read_rows(list(draw_sizes(NETWORKS, ())))
    here, papers = (header.index(name) for name in ("parameters, M", "paper"))
    published = [row for row in rows if row[papers]]
    assert len(published) == 5
    for row in published:
        assert float(row[here]) == pytest.approx(float(row[papers].split()[0]), rel=0.02), row


def test_each_network_is_exported_and_timed_where_a_runtime_is_named() -> None:
    small = Published(YolactArchitecture(80, width=0.125, neck_channels=8, prototypes=4), 64)
    header, _, row = read_rows(list(draw_sizes([small], ("ncnn",))))
    assert header[-1] == "ncnn fp32, ms"
    assert float(row[-1]) > 0


def test_a_trained_model_has_a_row_for_each_file_with_the_ap_of_its_card(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[3] / "models" / "blitzmask-mobilenetv2-192"
    card = read_card(shipped)
    _, _, *rows = read_rows(list(draw_models([shipped])))
    assert [row[3] for row in rows] == [f"{file.runtime} {file.precision}" for file in card.files]
    for row, file in zip(rows, card.files, strict=True):
        assert file.accuracy is not None
        assert row[5] == f"{file.accuracy.mask_ap:.3f}"


def test_the_command_prints_a_table() -> None:
    found = CliRunner().invoke(app, ["compare-networks"])
    assert found.exit_code == 0, found.output
    assert "| YOLACT resnet50, neck 256, P6 from C5 | 550 | 35.29 | 35.29 (Vo et al.) |" in found.output
