"""The signals that ask a process to stop."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator


def stopping_signals() -> tuple[signal.Signals, ...]:
    """SIGTERM, SIGINT and SIGHUP; not SIGHUP where it is ignored, as it is under `nohup`."""
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    if hangup is None or signal.getsignal(hangup) == signal.SIG_IGN:
        return (signal.SIGTERM, signal.SIGINT)
    return (signal.SIGTERM, signal.SIGINT, hangup)


@contextlib.contextmanager
def stop_signals(lifeline: int | None) -> Iterator[tuple[asyncio.Event, asyncio.Event]]:
    """Two events: the first signal, or the end of the lifeline, asks to stop; a second signal forces it."""
    stop, force = asyncio.Event(), asyncio.Event()

    def take_signal() -> None:
        (force if stop.is_set() else stop).set()

    def take_end(ended: int) -> None:
        loop.remove_reader(ended)
        stop.set()

    loop, numbers = asyncio.get_running_loop(), stopping_signals()
    for number in numbers:
        loop.add_signal_handler(number, take_signal)
    if lifeline is not None:
        loop.add_reader(lifeline, take_end, lifeline)
    try:
        yield stop, force
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
