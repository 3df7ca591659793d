"""Starts the template of the compute processes; imports so little that it can come before all else."""

import contextlib
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

END_S = 1.0  # for a process that has been killed
SECRET = ("BLITZ_", "OTEL_")  # variables whose names begin so may hold keys


@dataclass(frozen=True, slots=True)
class Launched:
    """A template that has been started, and the socket that it is told over."""

    control: socket.socket
    process: "subprocess.Popen[bytes]"

    def close(self) -> None:
        """End the template, and with it all that it has forked."""
        self.control.close()
        self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # it waits for a disk that does not answer
            self.process.wait(END_S)


def launch_template() -> Launched:
    """A template that has just begun to import; its environment holds none of this service's settings."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith(SECRET)}
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # one thread, so that it may fork
    command = [sys.executable, "-m", "service.compute.template", str(theirs.fileno())]
    with theirs:
        process = subprocess.Popen(
            command,
            env=environment,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            cwd=Path.cwd(),
        )
    return Launched(ours, process)


_ahead: list[Launched] = []  # the template that was started before this process knew its settings


def launch_ahead() -> None:
    """Start a template, to be taken once the settings are known."""
    _ahead.append(launch_template())


def take_ahead() -> Launched | None:
    """The template that `launch_ahead` has started; None where there is none, or it is taken already."""
    return _ahead.pop() if _ahead else None


def close_ahead() -> None:
    """End the template that nobody has taken."""
    launched = take_ahead()
    if launched is not None:
        launched.close()
