"""The service as a process of its own, on free ports, gone when the test is."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 180.0  # of every wait in the tests: it ends a hang, and a busy machine never reaches it


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that was ready when this was made."""

    process: subprocess.Popen[bytes]
    http_port: int
    grpc_port: int

    def with_ports(self, text: str) -> str:
        """The text with this server's ports in place of the default ones."""
        text = re.sub(r"(localhost|127\.0\.0\.1):8000", rf"\1:{self.http_port}", text)
        return re.sub(r"(localhost|127\.0\.0\.1):8001", rf"\1:{self.grpc_port}", text)


@contextlib.contextmanager
def running_server(**settings: str) -> Iterator[RunningServer]:
    """A ready server with these BLITZ_ variables; killed at the end if it has not stopped by itself."""
    http_port, grpc_port = free_port(), free_port()
    ports = {"BLITZ_HTTP_PORT": str(http_port), "BLITZ_GRPC_PORT": str(grpc_port)}
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "serve"], cwd=ROOT, env=dict(os.environ) | ports | settings
    )
    try:
        wait_until_ready(process, f"http://127.0.0.1:{http_port}/readyz")
        yield RunningServer(process, http_port, grpc_port)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    """Returns when the url answers 200; fails when the process ends before, or takes too long."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url):
            return
        time.sleep(0.1)
    raise AssertionError(f"{url} was never ready")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
