"""A service whose standard output nobody reads, or whose standard streams are closed."""

import contextlib
import fcntl
import os
import shlex
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.running import PATIENCE_S, ROOT, free_port, wait_until_ready

SMALLEST_PIPE = 4096  # bytes: a dozen lines


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="only Linux can make a pipe small")
@pytest.mark.parametrize("workers", [1, 2])
def test_it_answers_and_stops(models_dir: Path, rose: bytes, workers: int) -> None:
    port = free_port()
    settings = {"HTTP_PORT": port, "GRPC_PORT": free_port(), "MODELS_DIR": models_dir, "WORKERS": workers}
    chosen = {f"BLITZ_{name}": str(value) for name, value in (settings | {"STOP_DELAY_S": 0}).items()}
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
    command = [sys.executable, "-m", "service", "serve"]
    with (
        contextlib.closing(os.fdopen(reader)),
        subprocess.Popen(command, cwd=ROOT, env=os.environ | chosen, stdout=writer) as process,
    ):
        os.close(writer)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(process, f"{url}/readyz")
            with httpx.Client(timeout=PATIENCE_S, headers={"content-type": "image/png"}) as client:
                answers = [client.post(f"{url}/v1/segment", content=rose) for _ in range(100)]
            assert {answer.status_code for answer in answers} == {200}
            process.terminate()
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()


@pytest.mark.skipif(os.name != "posix", reason="only a POSIX shell can close a standard stream")
@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_reason_to_fail(models_dir: Path, rose: bytes, closed: str) -> None:
    """Some supervisors start programs so. The first socket must not become the standard output."""
    port = free_port()
    settings = {"HTTP_PORT": port, "GRPC_PORT": free_port(), "MODELS_DIR": models_dir, "STOP_DELAY_S": 0}
    chosen = {f"BLITZ_{name}": str(value) for name, value in settings.items()}
    command = f"exec {shlex.quote(sys.executable)} -m service serve {closed}"
    with subprocess.Popen(command, shell=True, cwd=ROOT, env=os.environ | chosen) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(process, f"{url}/readyz")
            answer = httpx.post(f"{url}/v1/segment", content=rose, timeout=PATIENCE_S)
            assert answer.status_code == 200
            process.terminate()
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
