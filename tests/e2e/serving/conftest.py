"""The service as a process, on ports of its own choice, with everything it logs at hand."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import pytest

from tests.running import PATIENCE_S
from tests.service.conftest import WriteToy, toy_files, write_toy

__all__ = ["toy_files", "write_toy"]  # fixtures

ROOT = Path(__file__).resolve().parents[3]


class Service:
    """A process that serves, or tries to."""

    def __init__(self, log: Path, **settings: object) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BLITZ_")}
        chosen = {"HTTP_PORT": 0, "GRPC_PORT": 0, "STOP_DELAY_S": 0.2} | settings
        environment |= {f"BLITZ_{name}": str(value) for name, value in chosen.items()}
        command = [sys.executable, "-m", "service", "serve"]
        self._log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stream)

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """The lines logged so far, whole ones only."""
        whole = self._log.read_text().rpartition("\n")[0]
        lines = [json.loads(line) for line in whole.split("\n") if line]
        return [line for line in lines if event in (None, line["event"])]

    def wait_for(self, event: str, *, times: int = 1, **fields: Any) -> dict[str, Any]:
        """The first of that many lines of this event; fails when the process ends before, or takes too long.

        times: as many as there are workers, for what each of them logs. fields: what else the line holds.
        """
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found = [line for line in self.lines(event) if fields.items() <= line.items()]
            if len(found) >= times:
                return found[0]
            assert self.process.poll() is None, f"it ended: {self.lines()}"
            time.sleep(0.02)
        raise AssertionError(f"not {times} of {event!r} in {self.lines()}")

    @property
    def http_port(self) -> int:
        port: int = self.wait_for("listening")["http_port"]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def target(self) -> str:
        """Of gRPC."""
        return f"127.0.0.1:{self.wait_for('listening')['grpc_port']}"

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


Serve: TypeAlias = Callable[..., Service]


@contextlib.contextmanager
def running(log: Path, **settings: object) -> Iterator[Service]:
    """A service that ends with its test, even if the test fails."""
    service = Service(log, **settings)
    try:
        yield service
    finally:
        service.process.kill()
        service.process.wait()


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory, write_toy: WriteToy) -> Path:
    """A folder with the toy model; not to be changed."""
    return write_toy(tmp_path_factory.mktemp("models") / "toy").parent


@pytest.fixture
def serve(models_dir: Path, tmp_path: Path) -> Iterator[Serve]:
    """Starts services, by their settings without BLITZ_."""
    with contextlib.ExitStack() as stack:

        def start(**settings: object) -> Service:
            log = tmp_path / f"log-{len(list(tmp_path.iterdir()))}"
            return stack.enter_context(running(log, **({"MODELS_DIR": models_dir} | settings)))

        yield start


@pytest.fixture(scope="module")
def service(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One that is ready, for tests that leave it as it is."""
    log = tmp_path_factory.mktemp("service") / "log"
    with running(log, MODELS_DIR=models_dir, MAX_BODY_MB=1) as service:
        service.wait_for("ready")
        yield service


@pytest.fixture(scope="session")
def rose() -> bytes:
    """A PNG on which the toy finds a rose, in its blue half."""
    picture = np.zeros((128, 192, 3), np.uint8)
    picture[40:88, 60:132] = (255, 0, 255)
    _, encoded = cv2.imencode(".png", picture)
    return encoded.tobytes()


@pytest.fixture(scope="session")
def large_photo() -> bytes:
    """A JPEG of 24 million pixels: a tenth of a second's work."""
    _, encoded = cv2.imencode(".jpg", np.full((4000, 6000, 3), (200, 0, 200), np.uint8))
    return encoded.tobytes()
