"""A live line on stderr while a load runs; nothing where no terminal looks."""

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live
from rich.text import Text

from loadtest.recorder import Recorder
from loadtest.window import Window

_PER_SECOND = 2  # drawing costs about a millisecond of a core that the server could use
_BAR = 24


class Progress:
    """Shows what is going on."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextlib.contextmanager
    def showing(self, name: str, recorder: Recorder, window: Window) -> Iterator[None]:
        """While the block runs, the load's time, rate and errors."""
        if not self._console.is_terminal:
            yield
            return
        with Live(
            console=self._console,
            transient=True,
            refresh_per_second=_PER_SECOND,
            get_renderable=lambda: Text(describe_progress(name, recorder, window)),
        ):
            yield

    def note(self, text: str) -> None:
        """A line that stays."""
        if self._console.is_terminal:
            self._console.print(text, style="dim", highlight=False)


def describe_progress(name: str, recorder: Recorder, window: Window) -> str:
    """The line: a bar over the time, answers per second so far, errors."""
    elapsed = time.perf_counter() - window.opened
    done = min(1.0, elapsed / (window.closes - window.opened))
    bar = "━" * round(done * _BAR) + "╌" * (_BAR - round(done * _BAR))
    errors = f"  {recorder.failed} errors" if recorder.failed else ""
    return f"{name:>14}  {bar}  {elapsed:5.1f} s  {recorder.answered / max(elapsed, 1e-3):8.1f} req/s{errors}"
