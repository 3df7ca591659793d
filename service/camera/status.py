"""What goes on, for whoever looks at the terminal: one line that changes, and lines for what happened."""

from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from service.camera.figures import Figures
from service.serving.streaming.frame_slot import Clock


class Status(Protocol):
    """Where things that happen are told."""

    def tell(self, text: str) -> None: ...


class StatusLine:
    """On standard error; the line that changes is only for terminals."""

    def __init__(self, name: str, figures: Figures, *, clock: Clock, console: Console, shown: bool) -> None:
        self._name = name
        self._figures = figures
        self._clock = clock
        self._console = console
        self._trouble = ""
        self._live = (
            Live(
                console=console,
                get_renderable=self.render,
                auto_refresh=False,  # by a thread, which has no clock
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            if shown and console.is_terminal
            else None
        )

    def render(self) -> Text:
        """The line."""
        figures = self._figures
        fps = figures.fps(self._clock.now())
        parts = [f"{fps:.1f} fps", f"age {figures.age_ms:.0f} ms", f"dropped {figures.dropped}"]
        if figures.failed:
            parts.append(f"failed {figures.failed}")
        found = ", ".join(f"{count} {label}" for label, count in figures.found.most_common())
        parts.append(f"found {found or 'nothing'}")
        return Text(f"{self._name}  {'  '.join(parts)}", no_wrap=True, overflow="ellipsis")

    def refresh(self) -> None:
        """Show the line as it is now."""
        if self._live is not None:
            self._live.refresh()

    def tell(self, text: str) -> None:
        self._console.print(
            f"{self._name}: {text}", markup=False, emoji=False, highlight=False, soft_wrap=True
        )

    def summarise(self, seconds: float) -> None:
        """What it was, at the end."""
        figures = self._figures
        rate = figures.answered / seconds if seconds else 0.0
        self.tell(
            f"{figures.answered} answered in {seconds:.1f} s ({rate:.1f} fps), {figures.dropped} dropped, "
            f"{figures.failed} failed; age p50 {figures.age_quantile(0.5):.0f} ms, "
            f"p95 {figures.age_quantile(0.95):.0f} ms"
        )
        if figures.identities:
            counted = ", ".join(f"{label} {count}" for label, count in figures.identities.most_common())
            self.tell(f"identities: {counted}")

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
