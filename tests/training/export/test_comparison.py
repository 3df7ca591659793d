"""The table of all networks."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.inference.card import read_card
from service.inference.golden import draw_picture
from service.types import Size
from training.commands import app
from training.export.comparison import NETWORKS, Published, draw_models, draw_sizes, settle_norms
from training.export.model_folder import run_network
from training.networks.families import build_network
from training.networks.yolact import YolactArchitecture


def read_rows(lines: list[str]) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_command_prints_sizes_within_two_percent_of_the_papers() -> None:
    printed = CliRunner().invoke(app, ["compare-networks"])
    assert printed.exit_code == 0, printed.output
    header, _, *rows = read_rows(printed.output.splitlines())
    assert len(rows) == len(NETWORKS)
    chosen = CliRunner().invoke(app, ["compare-networks", "--network", "BlitzMask"])
    assert read_rows(chosen.output.splitlines())[2:] == rows[:2]
    here, papers = (header.index(name) for name in ("parameters, M", "paper"))
    published = [row for row in rows if row[papers]]
    assert len(published) == 5
    for row in published:
        assert float(row[here]) == pytest.approx(float(row[papers].split()[0]), rel=0.02), row


def test_each_network_is_exported_and_timed_where_a_runtime_is_named() -> None:
    small = YolactArchitecture(80, width=0.125, neck_channels=8, prototypes=4)
    published = [Published(small, 64, ap="28.2"), Published(small, 64)]
    header, _, timed, variant = read_rows(list(draw_sizes(published, ("ncnn",))))
    assert header[-1] == "ncnn fp32, ms"
    assert float(timed[-1]) > 0
    assert variant[-1] == ""


@pytest.mark.parametrize("backbone", ["resnet50", "resnet101"])
def test_features_of_random_weights_stay_small(backbone: str) -> None:
    network = build_network(YolactArchitecture(80, backbone=backbone, width=0.125, neck_channels=8))
    settle_norms(network, Size(64, 64))
    heads = run_network(network, draw_picture(Size(64, 64), 0)[None])
    assert max(abs(head).max() for head in heads.values()) < 100


def test_a_trained_model_has_a_row_for_each_file_with_the_ap_of_its_card(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[3] / "models" / "blitzmask-mobilenetv2-192"
    card = read_card(shipped)
    _, _, *rows = read_rows(list(draw_models([shipped])))
    assert [row[3] for row in rows] == [f"{file.runtime} {file.precision}" for file in card.files]
    for row, file in zip(rows, card.files, strict=True):
        assert file.accuracy is not None
        assert row[5] == f"{file.accuracy.mask_ap:.3f}"
