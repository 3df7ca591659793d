"""Several front processes that share both ports, and the parent that supervises them.

One front is enough for eight cores or so, since images are computed in processes of their own.

The parent loads nothing that starts threads. It forks the first worker, and the others once the first can
answer. Then it waits: it deals the connections of HTTP to the workers in turn, it replaces a worker that
ends, and on a signal it closes the pipe that all workers hold. When the parent is killed, the pipe closes as
well, and the workers finish and exit.

gRPC's own library listens on its port in every worker, and there the kernel chooses a worker by a hash of
the connection's addresses.

Only the first worker takes connections before it can answer, so that it can say that it is not ready. The
others join it when they are ready.
"""

import contextlib
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Iterator
from functools import partial

import structlog

from service.errors import BlitzError, InvalidSetting
from service.process.limits import check_host, choose_family
from service.process.listening import Dealer, listen
from service.process.signals import stopping_signals
from service.security.callers import make_cells
from service.settings import Settings
from service.telemetry.logs import configure_logs
from service.telemetry.shared_metrics import SharedMetrics, WorkerPlace

DONE, FAILED = 0, 1
PAUSE_S = 1.0  # before a worker that has ended is replaced, if it had lived no longer than that
HANDLED = (*stopping_signals(), signal.SIGCHLD)

log = structlog.get_logger("service.process.workers")


def run_workers(settings: Settings) -> int:
    """Serve by `settings.workers` processes until SIGTERM or SIGINT; a second one kills them.

    The exit status: 0 when all in flight was answered. Raises InvalidSetting where the host or a port
    cannot be had, or this system cannot fork.
    """
    if not hasattr(os, "fork"):
        raise InvalidSetting("BLITZ_WORKERS: this system cannot fork; start several services instead")
    configure_logs(settings.log_level, settings.log_format, threads=False)
    host = settings.host
    check_host(host)
    with (
        listen(host, settings.http_port) as listener,
        _reserve_port(host, settings.grpc_port) as grpc_port,
        _watch_signals() as signals,
    ):
        http_port = listener.getsockname()[1]
        settings = settings.model_copy(update={"http_port": http_port, "grpc_port": grpc_port})
        return Supervisor(settings, listener).run(signals)


class Supervisor:
    """The workers that are alive, by process id, when each was started, and its place in shared memory."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        """`listener` is the one of HTTP."""
        self._settings = settings
        self._selector = selectors.DefaultSelector()
        self._dealer = Dealer(listener, self._selector)
        self._metrics = SharedMetrics(settings.workers)
        self._meters = make_cells(len(settings.api_keys) + len(settings.admin_keys))
        self._places: dict[int, int] = {}
        self._started: dict[int, float] = {}
        self._due: list[float] = []  # when those that are missing are to start
        self._lifeline, self._lifeline_end = os.pipe()
        self._first, self._bell = os.pipe()  # ends when the first worker is ready, or has ended
        self._stopping = False
        self._status = DONE

    def run(self, signals: int) -> int:
        """Start all workers, replace those that end, and return when all have stopped after a signal;
        `signals` gives signals.
        """
        self._selector.register(signals, selectors.EVENT_READ, partial(self._read_signals, signals))
        self._selector.register(self._first, selectors.EVENT_READ, self._follow_first)
        self._spawn(joins=False)
        os.close(self._bell)
        while self._started or not self._stopping:
            pause = max(0.0, min(self._due) - time.monotonic()) if self._due else None
            for key, _ in self._selector.select(pause):
                key.data()
            self._spawn_due()
        self._selector.close()
        return self._status

    def _read_signals(self, signals: int) -> None:
        for number in os.read(signals, 64):
            self._handle(number)

    def _follow_first(self) -> None:
        self._selector.unregister(self._first)
        os.close(self._first)
        if not self._stopping:
            self._due += [time.monotonic()] * (self._settings.workers - 1)

    def _handle(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif self._stopping:
            for pid in self._started:
                os.kill(pid, signal.SIGKILL)
        else:
            log.info("stopping", workers=len(self._started))
            self._stopping = True
            self._due.clear()
            self._dealer.stop()
            os.close(self._lifeline_end)

    def _reap(self) -> None:
        while self._started:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            lived = time.monotonic() - self._started.pop(pid)
            self._metrics.retire(self._places.pop(pid))
            code = os.waitstatus_to_exitcode(status)
            if self._stopping:
                self._status = self._status or (DONE if code == DONE else FAILED)
                continue
            log.error("worker ended", pid=pid, exit_status=code, lived_s=round(lived, 1))
            self._due.append(time.monotonic() + (PAUSE_S if lived < PAUSE_S else 0))

    def _spawn_due(self) -> None:
        now = time.monotonic()
        for moment in [each for each in self._due if each <= now]:
            self._due.remove(moment)
            self._spawn(joins=True)

    def _spawn(self, *, joins: bool) -> None:
        place = min(set(range(self._settings.workers)) - set(self._places.values()))
        seat = self._dealer.make_seat()
        pid = os.fork()
        if pid == 0:
            self._work(place, seat, joins=joins)
        seat.close()
        self._started[pid] = time.monotonic()
        self._places[pid] = place

    def _work(self, place: int, seat: socket.socket, *, joins: bool) -> None:
        """Run a worker in this forked process, and exit with its status; never returns."""
        status = FAILED
        try:
            _reset_signals()
            os.close(self._lifeline_end)
            self._selector.close()
            self._dealer.forget()
            # Only now: they start threads, and read the above.
            from service.process.server import Post
            from service.process.start import run_server

            bell = None if joins else self._bell
            post = Post(self._lifeline, WorkerPlace(self._metrics, place), self._meters, bell, seat)
            status = run_server(self._settings, post)
        except BlitzError as error:
            log.error("worker failed", reason=str(error))
        except BaseException:
            log.exception("worker failed")
        finally:
            logging.shutdown()
            os._exit(status)


@contextlib.contextmanager
def _reserve_port(host: str, port: int) -> Iterator[int]:
    """A port for gRPC that the workers can share and nobody else has; it is held, but not listened on.

    Raises InvalidSetting.
    """
    family = choose_family(host)
    try:
        with socket.create_server((host, port), family=family) as alone:  # fails where somebody listens
            found: int = alone.getsockname()[1]
        holder = _hold_port(family, host, found)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidSetting(
            f"BLITZ_GRPC_PORT={port}: cannot listen on {host} port {port}: {reason}"
        ) from error
    with holder:
        yield found


def _hold_port(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    holder = socket.socket(family)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # connections of a service that was here a minute ago linger, and would be in the way
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((host, port))
    except OSError:
        holder.close()
        raise
    return holder


@contextlib.contextmanager
def _watch_signals() -> Iterator[int]:
    """A file descriptor that gives the number of every signal of HANDLED, a byte each."""
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno())
        before = {number: signal.signal(number, _ignore) for number in HANDLED}
        try:
            yield reader.fileno()
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)


def _ignore(number: int, frame: object) -> None:
    """Does nothing: Python writes a signal to the wake-up descriptor only if it has a handler."""


def _reset_signals() -> None:
    """Let a worker treat signals as a process of its own does."""
    signal.set_wakeup_fd(-1)
    for number in HANDLED:
        signal.signal(number, signal.SIG_DFL)
