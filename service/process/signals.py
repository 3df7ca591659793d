"""What asks a process to stop."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator

STOPPING = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def stop_signals(lifeline: int | None) -> Iterator[tuple[asyncio.Event, asyncio.Event]]:
    """Two events: the first of the signals, or a lifeline's end, asks to stop; a second signal forces."""
    stop, force = asyncio.Event(), asyncio.Event()

    def heed() -> None:
        (force if stop.is_set() else stop).set()

    def let_go(ended: int) -> None:
        loop.remove_reader(ended)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in STOPPING:
        loop.add_signal_handler(number, heed)
    if lifeline is not None:
        loop.add_reader(lifeline, let_go, lifeline)
    try:
        yield stop, force
    finally:
        for number in STOPPING:
            loop.remove_signal_handler(number)
