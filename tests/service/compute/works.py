"""Works that a compute process can unpickle, most of which harm it."""

import ctypes
import os
import signal
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from service.compute.task import Turn


@dataclass(frozen=True, slots=True)
class Say:
    """Gives the word, the process that says it and whether it was crowded."""

    word: str

    def __call__(self, turn: Turn) -> tuple[str, int, bool]:
        return self.word, os.getpid(), turn.crowded


@dataclass(frozen=True, slots=True)
class Give:
    """Gives what it holds."""

    result: object

    def __call__(self, turn: Turn) -> object:
        return self.result


@dataclass(frozen=True, slots=True)
class Sleep:
    """Takes its time, and then gives the process."""

    seconds: float

    def __call__(self, turn: Turn) -> int:
        time.sleep(self.seconds)
        return os.getpid()


@dataclass(frozen=True, slots=True)
class Fail:
    """Raises an error that the front does not know."""

    def __call__(self, turn: Turn) -> None:
        raise KeyError("swordfish")


@dataclass(frozen=True, slots=True)
class Abort:
    """Ends the process as a native library does that aborts."""

    image: bytes = b"abort"

    def __call__(self, turn: Turn) -> None:
        ctypes.CDLL(None).abort()


@dataclass(frozen=True, slots=True)
class Stop:
    """Stops the process as a debugger does."""

    image: bytes = b"stop"

    def __call__(self, turn: Turn) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)


@dataclass(frozen=True, slots=True)
class Spin:
    """Never ends, and never lets another thread run: as a model with an endless loop."""

    image: bytes = b"spin"

    def __call__(self, turn: Turn) -> None:
        ctypes.PyDLL(None).pause()


@dataclass(frozen=True, slots=True)
class Grow:
    """Takes so many megabytes, and writes into them."""

    megabytes: int
    image: bytes = b"grow"

    def __call__(self, turn: Turn) -> int:
        return len(b"\1" * (self.megabytes * 1_000_000))


@dataclass(frozen=True, slots=True)
class TryAll:
    """Tries everything that a compute process may not do; returns the names of successful attempts."""

    folder: Path
    port: int

    def __call__(self, turn: Turn) -> tuple[str, ...]:
        attempts = {
            "write": lambda: (self.folder / "new").write_bytes(b"!"),
            "connect": lambda: socket.create_connection(("127.0.0.1", self.port)),
            "listen": lambda: socket.create_server(("127.0.0.1", 0)),
        }
        return tuple(name for name, attempt in attempts.items() if _succeeds(attempt))


def _succeeds(attempt: object) -> bool:
    try:
        attempt()  # type: ignore[operator]
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Look:
    """The process's variables whose names begin with BLITZ_, its open descriptors, and its threads."""

    def __call__(self, turn: Turn) -> tuple[tuple[str, ...], int, int]:
        names = tuple(name for name in os.environ if name.startswith("BLITZ_"))
        return names, len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
