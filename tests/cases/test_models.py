"""Models folders as copies, mounts and editors leave them."""

import shutil
import subprocess
from pathlib import Path

import httpx

from tests.cases.conftest import ROOT, FindCase
from tests.running import PATIENCE_S, running_server


def test_hidden_folders_hold_no_models(find_case: FindCase, tmp_path: Path) -> None:
    subprocess.run(["sh", find_case("e01") / "make.sh", tmp_path], cwd=ROOT, check=True)
    with running_server(BLITZ_MODELS_DIR=str(tmp_path)) as server:
        listed = httpx.get(f"http://127.0.0.1:{server.http_port}/v1/models", timeout=PATIENCE_S).json()
    assert "9.9.9" not in [model["version"] for model in listed["models"]]
    assert listed["refused"] == {}


def test_a_folder_that_is_reached_by_two_names_counts_once(find_case: FindCase, tmp_path: Path) -> None:
    find_case("e01")
    shutil.copytree(ROOT / "models" / "blitzmask-mobilenetv2-192", tmp_path / "..2026_11_28" / "m192")
    (tmp_path / "..data").symlink_to("..2026_11_28")
    (tmp_path / "m192").symlink_to("..data/m192")
    with running_server(BLITZ_MODELS_DIR=str(tmp_path)) as server:
        listed = httpx.get(f"http://127.0.0.1:{server.http_port}/v1/models", timeout=PATIENCE_S).json()
    assert [model["name"] for model in listed["models"]] == ["blitzmask-mobilenetv2-192"]
    assert listed["refused"] == {}


def test_a_card_may_begin_with_a_byte_order_mark(find_case: FindCase, tmp_path: Path) -> None:
    find_case("e02")
    folder = tmp_path / "mine"
    shutil.copytree(ROOT / "models" / "blitzmask-mobilenetv2-192", folder)
    card = folder / "card.json"
    card.write_bytes(b"\xef\xbb\xbf" + card.read_bytes())
    with running_server(BLITZ_MODELS_DIR=str(tmp_path)) as server:
        listed = httpx.get(f"http://127.0.0.1:{server.http_port}/v1/models", timeout=PATIENCE_S).json()
    assert [model["name"] for model in listed["models"]] == ["blitzmask-mobilenetv2-192"]
