"""The writing of log lines to a stream whose reader may stop, without waiting for it."""

import contextlib
import os
import select
import stat
import threading
import time
from collections.abc import Callable
from typing import Protocol, TextIO

import structlog

MOST_WAITING = 4_000_000  # bytes of lines that nobody has read yet
GATHERING_S = 0.01  # lines are written in groups: waking the thread for each would cost more than the line
FLUSH_S = 0.5  # for lines that still wait when the process ends

log = structlog.get_logger("service.telemetry.line_writer")


class Writer(Protocol):
    """Writes lines, and counts those that it drops because nobody reads them; never waits for a reader."""

    dropped: int

    def write(self, line: bytes) -> None: ...
    def flush(self) -> None:
        """Write what waits."""
        ...


class DirectWriter:
    """Writes lines to a file or to memory, where a write never blocks."""

    dropped = 0

    def __init__(self, write: Callable[[bytes], int]) -> None:
        self._write = write
        self._writing = threading.Lock()

    def write(self, line: bytes) -> None:
        with self._writing, contextlib.suppress(OSError, ValueError):  # a full disk, a closed stream
            self._write(line)

    def flush(self) -> None:
        pass


class LineWriter:
    """Writes lines to a pipe or terminal from a thread of its own, so that a reader that stops does not block
    the service.

    Lines beyond MOST_WAITING are dropped and counted. The thread starts with the first line, and a process
    that is forked starts its own: threads do not survive a fork.
    """

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._process = 0  # id of the process that started the thread
        self._starting = threading.Lock()
        self._prepare()

    def write(self, line: bytes) -> None:
        """Queue a line for the thread, or drop it if too many wait."""
        if self._process != os.getpid() and not self._start():
            self.dropped += not _write_at_once(self._descriptor, line)
            return
        with self._changed:
            if self._size + len(line) > MOST_WAITING:
                self.dropped += 1
                return
            self._waiting.append(line)
            self._size += len(line)
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until all lines are written, but no longer than FLUSH_S."""
        if self._process == os.getpid():
            with self._changed:
                self._changed.wait_for(lambda: not self._size, FLUSH_S)

    def _start(self) -> bool:
        """True if the thread runs; a process that is ending or confined cannot start one."""
        with self._starting, contextlib.suppress(RuntimeError):
            if self._process != os.getpid():
                self._prepare()
                threading.Thread(target=self._run, name="log", daemon=True).start()
                self._process = os.getpid()
        return self._process == os.getpid()

    def _prepare(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[bytes] = []
        self._size = 0  # of the lines that wait or are being written

    def _run(self) -> None:
        reported = self.dropped
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
            time.sleep(GATHERING_S)
            with self._changed:
                lines, self._waiting = self._waiting, []
            size = sum(map(len, lines))
            lost = not _write_all(self._descriptor, b"".join(lines))
            with self._changed:
                self.dropped += len(lines) if lost else 0
                self._size -= size
                self._changed.notify_all()
            if not lost and self.dropped > reported:
                log.warning("log lines dropped", lines=self.dropped - reported)
                reported = self.dropped


class ImpatientWriter:
    """Writes lines to a pipe or terminal without a thread; drops and counts those that it cannot write at
    once.

    For the parent of worker processes, which logs little, and must have no threads when it forks.
    """

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        self._descriptor = descriptor

    def write(self, line: bytes) -> None:
        self.dropped += not _write_at_once(self._descriptor, line)

    def flush(self) -> None:
        pass


def choose_writer(stream: TextIO, *, threads: bool) -> Writer:
    """The writer for a stream: a thread for one whose reader may stop, a pipe, a socket or a terminal."""
    try:
        descriptor = stream.fileno()
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except (OSError, ValueError):
        return DirectWriter(lambda data: stream.write(data.decode(errors="backslashreplace")))
    if regular:
        return DirectWriter(lambda data: os.write(descriptor, data))
    return LineWriter(descriptor) if threads else ImpatientWriter(descriptor)


def _write_at_once(descriptor: int, line: bytes) -> bool:
    """Whether the line, or the end of a long one, could be written without waiting."""
    with contextlib.suppress(OSError, ValueError):
        if select.select([], [descriptor], [], 0)[1]:
            os.write(descriptor, line[-select.PIPE_BUF :])  # a writable pipe has room for so many bytes
            return True
    return False


def _write_all(descriptor: int, data: bytes) -> bool:
    """Whether all could be written; waits for the reader as long as it takes."""
    rest = memoryview(data)
    while rest:
        try:
            select.select([], [descriptor], [])  # another process may have made the pipe non-blocking
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            continue
        except (OSError, ValueError):  # the reader is gone
            return False
    return True
