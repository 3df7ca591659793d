"""The models folder is swapped, broken and mended under a server that is busy."""

import json
import shutil
from pathlib import Path
from typing import Any

import httpx

from tests.load import under_load, wait_for
from tests.running import PATIENCE_S, RunningServer, running_server


def read_refused(server: RunningServer) -> dict[str, str]:
    refused: dict[str, str] = httpx.get(
        f"http://127.0.0.1:{server.http_port}/v1/models", timeout=PATIENCE_S
    ).json()["refused"]
    return refused


def test_no_request_is_lost_while_models_change_break_and_go(
    write_toy: Any, toy_files: Any, tmp_path: Path
) -> None:
    only = {("onnx", "fp32"): toy_files["onnx", "fp32"]}
    first: Path = write_toy(tmp_path / "models" / "one", files=only)
    second: Path = write_toy(tmp_path / "two", files=only, version="2")
    settings = {"BLITZ_MODELS_DIR": str(first.parent), "BLITZ_WATCH_S": "0.1", "BLITZ_RUNTIME": "onnx"}
    with running_server(**settings) as server, under_load(server) as answers:
        wait_for(lambda: answers["toy 1"] > 10)
        (first / "fp32.onnx").write_bytes(b"cut")
        wait_for(lambda: "is not the file its card describes" in read_refused(server).get("one", ""))
        before = answers["toy 1"]
        wait_for(lambda: answers["toy 1"] > before + 10)
        second.rename(first.parent / "two")
        wait_for(lambda: answers["toy 2"] > 10)
        shutil.rmtree(first)
        wait_for(lambda: read_refused(server) == {})
        card = json.loads((first.parent / "two" / "card.json").read_text())
        (first.parent / "two" / "card.json").write_text(json.dumps(card | {"version": "3"}))
        wait_for(lambda: answers["toy 3"] > 10)
    assert set(answers) == {"200", "toy 1", "toy 2", "toy 3"}
