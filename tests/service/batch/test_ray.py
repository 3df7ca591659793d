"""A job on a Ray cluster has the output of one without."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT
from tests.service.batch.conftest import Run


async def test_a_job_on_ray_has_the_same_output(
    run: Run, photos: Path, tmp_path: Path, toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray.data", reason="the extra ray is not installed")
    monkeypatch.setenv("BLITZ_MODELS_DIR", str(toy_folder.parent))
    monkeypatch.setenv("BLITZ_RUNTIME", "onnx")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    command = [sys.executable, "-m", "service", "batch", str(photos), str(tmp_path / "ray.json"), "--ray"]
    done = subprocess.run(
        [*command, "--score-threshold", "0.1"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr  # of the bad file
    await run(photos, tmp_path / "plain.json")
    assert (tmp_path / "ray.json").read_bytes() == (tmp_path / "plain.json").read_bytes()
    assert (tmp_path / "ray.failed.jsonl").read_bytes() == (tmp_path / "plain.failed.jsonl").read_bytes()
