"""The process from which compute processes are forked: it has imported everything and computes nothing.

`python -m service.compute.template DESCRIPTOR` is started by the front with an environment that holds
no keys. It has one thread, so forking it is safe, and its pages are shared by all compute processes. For
every descriptor that arrives over its control socket it forks a process that serves orders over it, and it
answers with the process id, and later with the exit status. It ends when the front closes the control
socket, and the kernel then ends all that it has forked.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NoReturn

from service.process.libraries import import_structlog

if TYPE_CHECKING:
    from service.telemetry.logs import LogFormat, LogLevel

REPORT = struct.Struct("<ii")  # a process id and its exit status, or BORN
BORN, READY = -1000, 0
# A terminal signals all processes of a group, but only the front decides when its processes end.
PRELOAD = (  # runtimes, works, and all that renders answers, so that no compute process has to import them
    "onnxruntime",
    "service.compute.models",
    "service.serving.work",
    "service.oip.inference",
    "service.rest.formats",
    "service.rpc.messages",
    "service.dialects.cvat",
    "service.dialects.deepstack",
    "service.dialects.label_studio",
)
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class ForkPlan:
    """Settings of a new compute process; memory_mb: its limit in millions of bytes, 0: none."""

    memory_mb: int
    log_level: "LogLevel"
    log_format: "LogFormat"

    def to_json(self) -> bytes:
        """The plan as a message to the template."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, message: bytes) -> "ForkPlan":
        """The plan that `to_json` wrote."""
        return cls(**json.loads(message))


def main(descriptor: int) -> None:
    """Fork a compute process for every descriptor that arrives, until the control socket is closed."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as control, _signal_socket() as children:
        _import_all()
        gc.collect()
        gc.freeze()  # no collection writes into pages that compute processes share
        control.send(REPORT.pack(os.getpid(), READY))
        while True:
            came = select.select([control, children], [], [])[0]
            if children in came:
                children.recv(4096)
                _report_ended(control)
            if control in came and not _fork_one(control):
                return


def _import_all() -> None:
    import_structlog()
    for name in PRELOAD:
        with contextlib.suppress(ImportError):  # a runtime that this machine does not have
            importlib.import_module(name)


def _fork_one(control: socket.socket) -> bool:
    """Whether the control socket is still open."""
    message, descriptors, _, _ = socket.recv_fds(control, 1024, 1)
    if not message:
        return False
    (descriptor,) = descriptors
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become_worker(descriptor, parent=parent, plan=ForkPlan.from_json(message))
    os.close(descriptor)
    control.send(REPORT.pack(pid, BORN))
    return True


def _become_worker(descriptor: int, *, parent: int, plan: ForkPlan) -> NoReturn:
    from service.compute.confinement import confine
    from service.compute.worker import serve_orders
    from service.telemetry.logs import configure_logs

    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        configure_logs(plan.log_level, plan.log_format)
        confine(descriptor, parent=parent, memory_mb=plan.memory_mb)
        serve_orders(socket.socket(fileno=descriptor))
        status = 0
    except ConnectionError:  # the front is gone
        status = 0
    finally:
        os._exit(status)


def _report_ended(control: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            control.send(REPORT.pack(pid, os.waitstatus_to_exitcode(status)))


@contextlib.contextmanager
def _signal_socket() -> Iterator[socket.socket]:
    """A socket that becomes readable when a child ends."""
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno())
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        yield reader


if __name__ == "__main__":
    with contextlib.suppress(ConnectionError):  # the front is gone
        main(int(sys.argv[1]))
