"""One load, driven in one span or in several, while the machine is watched and a terminal shows progress."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from rich.console import Console
from rich.live import Live
from rich.text import Text

from loadtest.generators.recorder import Recorder, Span, Window
from loadtest.measurement.host_stats import HostMonitor
from loadtest.measurement.row import Load, Row, Slice, cut_slice, sum_up

Drive: TypeAlias = Callable[[Window, Recorder], Awaitable[None]]

_GRACE_S = 1.0  # for the answers in flight after Ctrl-C
_FRAMES_PER_S = 2  # drawing takes about a millisecond of a core that the server could use
_BAR = 24


@dataclass(frozen=True, slots=True)
class Limits:
    """The end of every load: seconds of warm-up; requests; Ctrl-C."""

    warmup: float
    requests: int
    stop: asyncio.Event


class Progress:
    """A live line on a terminal while a load runs; nothing when the output is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextlib.contextmanager
    def showing(self, name: str, recorder: Recorder, window: Window) -> Iterator[None]:
        """Shows the load's time, rate and errors while the block runs."""
        if not self._console.is_terminal:
            yield
            return
        with Live(
            console=self._console,
            transient=True,
            refresh_per_second=_FRAMES_PER_S,
            get_renderable=lambda: Text(describe_progress(name, recorder, window)),
        ):
            yield

    def note(self, text: str) -> None:
        """Prints a line that stays."""
        if self._console.is_terminal:
            self._console.print(text, style="dim", highlight=False)


class LoadRun:
    """Collects one load's answers over all spans; `sent` counts its requests, `counted` without the leads."""

    def __init__(
        self, load: Load, drive: Drive, *, limits: Limits, monitor: HostMonitor, progress: Progress
    ) -> None:
        self.sent = self.counted = 0
        self._load = load
        self._drive = drive
        self._limits = limits
        self._progress = progress
        self._monitor = monitor
        self._recorder = Recorder()
        self._spans: list[Span] = []

    async def warm_up(self) -> None:
        """Drives the load without counting anything."""
        window = Window(self._limits.warmup, requests=self._limits.requests, stop=self._limits.stop)
        await _drive_until(self._limits.stop, self._drive(window, Recorder()))

    async def measure(self, seconds: float, *, lead: float = 0.0) -> Slice:
        """Drives the load for `seconds`; answers in the `lead` seconds before that are not counted."""
        left = self._limits.requests - self.sent
        window = Window(seconds, lead=lead, requests=left, stop=self._limits.stop)
        self._recorder.opened = window.opened
        async with self._monitor.watching():
            with self._progress.showing(self._load.name, self._recorder, window):
                await _drive_until(self._limits.stop, self._drive(window, self._recorder))
        self.sent += window.sent
        self.counted += window.counted
        lasted = max(0.0, time.perf_counter() - window.opened)
        self._spans.append(Span(window.opened, min(seconds, lasted)))
        return cut_slice(self._recorder, self._spans[-1])

    def sum_up(self) -> Row:
        """The row of all spans."""
        return sum_up(self._load, self._recorder, spans=self._spans, host=self._monitor.sum_up())


def describe_progress(name: str, recorder: Recorder, window: Window) -> str:
    """The line: a bar of the time, answers per second so far, errors."""
    elapsed = time.perf_counter() - window.opened
    done = min(1.0, elapsed / (window.closes - window.opened))
    bar = "━" * round(done * _BAR) + "╌" * (_BAR - round(done * _BAR))
    errors = f"  {recorder.failed} errors" if recorder.failed else ""
    return f"{name:>14}  {bar}  {elapsed:5.1f} s  {recorder.answered / max(elapsed, 1e-3):8.1f} req/s{errors}"


async def _drive_until(stop: asyncio.Event, drive: Awaitable[None]) -> None:
    """Awaits the drive; after a stop it has a moment for the answers in flight."""
    driving = asyncio.ensure_future(drive)
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({driving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not driving.done():
        await asyncio.wait({driving}, timeout=_GRACE_S)
        driving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await driving
