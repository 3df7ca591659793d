"""A load, driven while the machine is watched."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from loadtest.progress import Progress
from loadtest.recorder import Recorder
from loadtest.row import Load, Row, sum_up
from loadtest.share import Slice, cut_slice
from loadtest.surroundings import Watch
from loadtest.window import Span, Window

Drive: TypeAlias = Callable[[Window, Recorder], Awaitable[None]]

_GRACE = 1.0  # seconds that answers under way still get after Ctrl-C


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where every measurement ends: seconds of warm-up; requests; Ctrl-C."""

    warmup: float
    requests: int
    stop: asyncio.Event


class Measurement:
    """One load, driven in one span or in several, while the machine is watched."""

    def __init__(
        self, load: Load, drive: Drive, *, bounds: Bounds, server_pids: tuple[int, ...], progress: Progress
    ) -> None:
        self._load = load
        self._drive = drive
        self._bounds = bounds
        self._progress = progress
        self._watch = Watch(server_pids)
        self._recorder = Recorder()
        self._spans: list[Span] = []
        self._sent = 0

    async def warm_up(self) -> None:
        """The load, for nothing."""
        window = Window(self._bounds.warmup, requests=self._bounds.requests, stop=self._bounds.stop)
        await _drive_until(self._bounds.stop, self._drive(window, Recorder()))

    async def measure(self, seconds: float, *, lead: float = 0.0) -> Slice:
        """The load, for so long; what is answered in the `lead` before that is not counted."""
        left = self._bounds.requests - self._sent
        window = Window(seconds, lead=lead, requests=left, stop=self._bounds.stop)
        self._recorder.opened = window.opened
        async with self._watch.watching():
            with self._progress.showing(self._load.name, self._recorder, window):
                await _drive_until(self._bounds.stop, self._drive(window, self._recorder))
        self._sent += window.sent
        lasted = max(0.0, time.perf_counter() - window.opened)
        self._spans.append(Span(window.opened, min(seconds, lasted)))
        return cut_slice(self._recorder, self._spans[-1])

    def sum_up(self) -> Row:
        """The row of all that was measured."""
        return sum_up(self._load, self._recorder, spans=self._spans, surroundings=self._watch.sum_up())


async def _drive_until(stop: asyncio.Event, drive: Awaitable[None]) -> None:
    """Awaits the drive; once stopped it has a moment to collect what is under way."""
    driving = asyncio.ensure_future(drive)
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({driving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not driving.done():
        await asyncio.wait({driving}, timeout=_GRACE)
        driving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await driving
