"""A server of this checkout on free ports, and the time from its start to its first good answer."""

import asyncio
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

from loadtest.generators import open_client
from loadtest.types import OK, CannotRun, Photo, Target

_POLL_S = 0.002
_PATIENCE_S = 180.0  # a busy board takes a minute to import
_STOP_S = 15.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Serving:
    """A running server; `started` is the time when its process was created, in perf_counter seconds."""

    pid: int
    http_port: int
    grpc_port: int
    started: float


@contextlib.contextmanager
def serving(
    models: Path,
    *,
    checkout: Path | None = None,
    settings: Mapping[str, str] | None = None,
    ready: bool = True,
) -> Iterator[Serving]:
    """A server while the block runs, of another checkout if one is given.

    ready: wait until its models are; settings: BLITZ_ variables.

    Raises CannotRun with the last line of the server's log when it ends or does not listen.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BLITZ_")}
    environment |= {
        "BLITZ_MODELS_DIR": str(models.absolute()),
        "BLITZ_HTTP_PORT": "0",
        "BLITZ_GRPC_PORT": "0",
    }
    if checkout is None:  # another one may not know the setting
        environment["BLITZ_TUNE"] = "no"  # the file that serves must not change between load and baseline
    with tempfile.NamedTemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve"],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=checkout,
            env=environment | dict(settings or {}),
            start_new_session=True,  # the load test handles Ctrl-C
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        try:
            event = _wait_for(process, Path(log.name), "listening")
            if ready:
                _wait_for(process, Path(log.name), "ready")
            yield Serving(process.pid, int(event["http_port"]), int(event["grpc_port"]), started)
        finally:
            _end(process)


async def measure_cold_start(models: Path, photo: Photo) -> float:
    """Seconds from the start of a process to its first good answer; raises CannotRun when none comes."""
    with serving(models, ready=False) as server:
        client = open_client(Target("rest", "127.0.0.1", server.http_port))
        try:
            while (answer := await client.send(photo)).kind != OK:
                if time.perf_counter() - server.started > _PATIENCE_S:
                    raise CannotRun(f"no good answer within {_PATIENCE_S:g} s of the start: {answer.kind}")
                await asyncio.sleep(_POLL_S)
            return time.perf_counter() - server.started
        finally:
            await client.close()


def find_event(log: str, name: str) -> dict[str, str] | None:
    """The first JSON line of a log that has this event.

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
    until = time.perf_counter() + _PATIENCE_S
    while time.perf_counter() < until:
        ended = process.poll() is not None
        said = log.read_text(errors="replace")
        event = find_event(said, name)
        if event is not None:
            return event
        if ended or find_event(said, "not ready"):
            break
        time.sleep(_POLL_S)
    last = log.read_text(errors="replace").strip().splitlines()[-1:]
    raise CannotRun(f"the server did not start: {''.join(last) or 'its log is empty'}")


def _end_with_parent() -> None:
    """Makes the kernel end this process when its parent is gone, even by SIGKILL."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
