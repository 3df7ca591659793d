"""The progress of a job: a bar on a terminal, elsewhere a line now and then."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

PAUSE_S = 10.0  # between two lines


class Progress:
    """Shows how many pictures are done, how many of them are bad, the rate and the time left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._columns = [
            BarColumn(),
            TextColumn("{task.completed:.0f} of {task.fields[of]} pictures"),
            TextColumn("{task.fields[bad]}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        ]
        self._bar = Bar(*self._columns, console=console, disable=not console.is_terminal)

    def start(self, total: int | None, done: int, failures: int) -> None:
        """Count from the pictures that an earlier run has done; total None: nobody knows."""
        self._total, self._done, self._before, self._failures = total, done, done, failures
        self._begun = self._told = time.monotonic()
        of = "?" if total is None else str(total)
        self._task = self._bar.add_task("", total=total, completed=done, of=of, rate="", bad="")
        if done:
            self._console.print(f"{done} pictures were done before")

    def advance(self, *, failures: int) -> None:
        """One picture more is done; `failures` of all are bad."""
        self._done += 1
        self._failures = failures
        if self._console.is_terminal:
            self._bar.update(self._task, advance=1, rate=self._describe_rate(), bad=self._describe_bad())
        elif time.monotonic() - self._told > PAUSE_S:
            self._told = time.monotonic()
            self._tell()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        self._tell()

    @property
    def rate(self) -> float:
        """Pictures per second since the start."""
        return (self._done - self._before) / max(time.monotonic() - self._begun, 1e-9)

    def _tell(self) -> None:
        left = "" if self._total is None or not self.rate else f", {self._describe_left()} left"
        of = "" if self._total is None else f" of {self._total}"
        self._console.print(
            f"{self._done}{of} pictures{self._describe_bad()}, {self._describe_rate()}{left}", highlight=False
        )

    def _describe_left(self) -> str:
        assert self._total is not None
        seconds = round((self._total - self._done) / self.rate)
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"

    def _describe_rate(self) -> str:
        return f"{self.rate:.1f}/s"

    def _describe_bad(self) -> str:
        return f" ({self._failures} bad)" if self._failures else ""
