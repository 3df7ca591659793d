"""The machine fails: a disk is full, a process is killed, a file is cut, an accelerator is not there."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.serving.conftest import ROOT, Serve
from tests.load import under_load, wait_for
from tests.running import PATIENCE_S, RunningServer, free_port, running_server, wait_until_ready
from tests.service.conftest import WriteToy

PNG = {"content-type": "image/png"}


def test_a_full_disk_for_logs_costs_lines_and_no_request(models_dir: Path, rose: bytes) -> None:
    """/dev/full refuses every byte, as a full disk does."""
    http_port, grpc_port = free_port(), free_port()
    chosen = {
        "BLITZ_HTTP_PORT": str(http_port),
        "BLITZ_GRPC_PORT": str(grpc_port),
        "BLITZ_MODELS_DIR": str(models_dir),
        "BLITZ_STOP_DELAY_S": "0",
    }
    command = [sys.executable, "-m", "service", "serve"]
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(command, cwd=ROOT, env=dict(os.environ) | chosen, stdout=full, stderr=full)
    try:
        wait_until_ready(process, f"http://127.0.0.1:{http_port}/readyz")
        with httpx.Client(
            base_url=f"http://127.0.0.1:{http_port}", headers=PNG, timeout=PATIENCE_S
        ) as client:
            for body, status in ((rose, 200), (b"no image", 400)) * 100:
                assert client.post("/v1/segment", content=body).status_code == status
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()


def test_one_of_three_workers_is_killed_again_and_again_and_others_answer(
    models_dir: Path, tmp_path: Path
) -> None:
    """Only requests that the killed worker was answering are lost, and it is replaced each time."""
    with running_server(BLITZ_WORKERS="3", BLITZ_SLOTS="1", BLITZ_MODELS_DIR=str(models_dir)) as server:
        wait_for(lambda: count_ready(server) == 3)
        with under_load(server) as answers:
            for _ in range(2):
                answered = answers["200"]
                wait_for(lambda least=answered + 20: answers["200"] > least)  # type: ignore[misc]
                os.kill(psutil.Process(server.process.pid).children()[0].pid, signal.SIGKILL)
                wait_for(lambda: count_workers(server) == 3)
            answered = answers["200"]
            wait_for(lambda: answers["200"] > answered + 30)
    broken = sum(count for what, count in answers.items() if what not in ("200", "toy 1"))
    assert broken <= 12, answers  # a client's request each, and what the kernel had given to the killed one
    assert not set(answers) & {"500", "502", "503", "504"}


def count_ready(server: RunningServer) -> int:
    """The slots, one each, of workers that are all ready; 0 while one is not."""
    lines = httpx.get(f"http://127.0.0.1:{server.http_port}/metrics", timeout=PATIENCE_S).text.splitlines()
    slots = next(float(line.split()[1]) for line in lines if line.startswith("blitzmask_slots "))
    return int(slots) if "blitzmask_ready 1.0" in lines else 0


def count_workers(server: RunningServer) -> int:
    return len(psutil.Process(server.process.pid).children())


@pytest.mark.parametrize("runtime", ["onnx", "tflite"])
def test_a_model_file_that_is_cut_or_swapped_in_place_under_load_changes_no_answer(
    write_toy: WriteToy, tmp_path: Path, runtime: str
) -> None:
    """A runtime that mapped the file would then compute with changed weights, or crash the process."""
    file = write_toy(tmp_path / "models" / "toy") / f"fp32.{runtime}"
    size = file.stat().st_size
    settings = {"BLITZ_MODELS_DIR": str(tmp_path / "models"), "BLITZ_RUNTIME": runtime}
    with running_server(**settings) as server, under_load(server) as answers:
        wait_for(lambda: answers["200"] > 10)
        harms: tuple[Callable[[], object], ...] = (
            lambda: os.truncate(file, 100),
            lambda: _scribble(file, size),
            file.unlink,
        )
        for harm in harms:
            harm()
            answered = answers["200"]
            wait_for(lambda least=answered + 15: answers["200"] > least)  # type: ignore[misc]
        assert server.process.poll() is None
    assert set(answers) == {"200", "toy 1"}


def _scribble(file: Path, size: int) -> None:
    with file.open("r+b") as swapped:
        swapped.write(os.urandom(size))


def test_a_delegate_that_is_missing_is_the_reason_it_is_not_ready(serve: Serve) -> None:
    service = serve(RUNTIME="tflite", DELEGATES="/opt/none/libedgetpu.so.1")
    service.wait_for("not ready")
    answer = httpx.get(f"{service.url}/readyz", timeout=PATIENCE_S)
    assert answer.status_code == 503
    assert "libedgetpu" in answer.json()["detail"]
    assert service.stop() == 0


def test_a_delegate_that_is_missing_is_told_in_every_answer_where_that_is_preferred(
    serve: Serve, rose: bytes
) -> None:
    service = serve(RUNTIME="tflite", DELEGATES="/opt/none/libedgetpu.so.1", FALLBACK="prefer")
    service.wait_for("ready")
    backend = httpx.post(f"{service.url}/v1/segment", content=rose, headers=PNG, timeout=PATIENCE_S).json()[
        "backend"
    ]
    assert any("libedgetpu" in name for name in backend["asked"])
    assert not any("libedgetpu" in name for name in backend["in_effect"])
    (line,) = [
        line
        for line in httpx.get(f"{service.url}/metrics", timeout=PATIENCE_S).text.splitlines()
        if line.startswith("blitzmask_model_info{")
    ]
    assert "libedgetpu" in line
