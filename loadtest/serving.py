"""A server of our own on free ports, for whoever wants to measure this very checkout."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from loadtest.errors import CannotRun

_POLL = 0.002  # seconds
_PATIENCE = 60.0
_STOP = 15.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Serving:
    """A running server; `started` is when its process was made, perf_counter seconds."""

    pid: int
    http_port: int
    grpc_port: int
    started: float


@contextlib.contextmanager
def serving(
    models: Path, *, settings: Mapping[str, str] | None = None, ready: bool = True
) -> Iterator[Serving]:
    """A server while the block runs, ready unless that is not waited for; `settings` are BLITZ_ variables.

    Raises CannotRun, with the server's last words, when it ends or does not listen.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BLITZ_")}
    environment |= {"BLITZ_MODELS_DIR": str(models), "BLITZ_HTTP_PORT": "0", "BLITZ_GRPC_PORT": "0"}
    with tempfile.NamedTemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment | dict(settings or {}),
            start_new_session=True,  # Ctrl-C is the load test's to handle
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        try:
            event = _wait_for(process, Path(log.name), "listening")
            if ready:
                _wait_for(process, Path(log.name), "ready")
            yield Serving(process.pid, int(event["http_port"]), int(event["grpc_port"]), started)
        finally:
            _end(process)


def find_event(log: str, name: str) -> dict[str, str] | None:
    """The first line of a log in JSON that tells this event.

    >>> find_event('Warning: x\\n{"event": "ready"}\\n', "ready")
    {'event': 'ready'}
    """
    for line in log.splitlines():
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict) and event.get("event") == name:
                return event
    return None


def _wait_for(process: subprocess.Popen[bytes], log: Path, name: str) -> dict[str, str]:
    until = time.perf_counter() + _PATIENCE
    while time.perf_counter() < until:
        ended = process.poll() is not None
        said = log.read_text(errors="replace")
        event = find_event(said, name)
        if event is not None:
            return event
        if ended or find_event(said, "not ready"):
            break
        time.sleep(_POLL)
    last = log.read_text(errors="replace").strip().splitlines()[-1:]
    raise CannotRun(f"the server did not start: {''.join(last) or 'it said nothing'}")


def _end_with_parent() -> None:
    """Have the kernel end this process when the one that started it is gone, killed even."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
