"""The progress of a camera: its statistics, and the lines that a terminal shows."""

from collections import Counter, deque
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from service.camera.output import AnsweredFrame
from service.serving.streaming.frame import Clock
from service.types import Segmentation

RECENT_S = 2.0
AGES = 1000
REMEMBERED = 1000  # identities whose label may still change


class Statistics:
    """Counts of answers, their rate over the last two seconds, their ages, and every identity seen."""

    def __init__(self) -> None:
        self.answered = 0
        self.failed = 0
        self.dropped = 0
        self.age_ms = 0.0
        self.found: Counter[str] = Counter()
        self.last_error: Exception | None = None
        self._identities: Counter[str] = Counter()
        self._labels: dict[int, Counter[str]] = {}  # by identity, the latest seen at the end
        self._highest = 0
        self._times: deque[float] = deque()
        self._ages: deque[float] = deque(maxlen=AGES)

    def count(self, answered: AnsweredFrame, now: float) -> None:
        """Add an answer that arrived at `now`."""
        result = answered.result
        self.dropped, self.age_ms = result.dropped, result.age_ms
        self._ages.append(result.age_ms)
        self._times.append(now)
        if isinstance(result.outcome, Segmentation):
            self.answered += 1
            self._count_found(result.outcome)
        elif isinstance(result.outcome, Exception):
            self.failed += 1
            self.last_error = result.outcome

    def fps(self, now: float) -> float:
        """Answers per second over the last two seconds."""
        while self._times and self._times[0] < now - RECENT_S:
            self._times.popleft()
        return len(self._times) / RECENT_S

    def age_quantile(self, share: float) -> float:
        """The quantile of the latest ages in milliseconds; 0 before the first answer."""
        ages = sorted(self._ages)
        return ages[min(int(share * len(ages)), len(ages) - 1)] if ages else 0.0

    @property
    def begun(self) -> bool:
        """Whether there was any answer."""
        return self.answered + self.failed > 0

    @property
    def identities(self) -> Counter[str]:
        """The number of identities per label; each counts under its most frequent label."""
        return +self._identities

    def _count_found(self, found: Segmentation) -> None:
        self.found = Counter(one.label for one in found.instances)
        named = [(one.track_id, one.label) for one in found.instances if one.track_id is not None]
        for number, label in named:
            # Identities are given in ascending order, so a number above all earlier ones is new.
            if number > self._highest or number in self._labels:
                self._count_identity(number, label)
        self._highest = max([self._highest, *(number for number, _ in named)])

    def _count_identity(self, number: int, label: str) -> None:
        labels = self._labels.pop(number, Counter())
        self._identities.subtract(name for name, _ in labels.most_common(1))
        labels[label] += 1
        self._identities.update(name for name, _ in labels.most_common(1))
        self._labels[number] = labels
        if len(self._labels) > REMEMBERED:  # so that no camera fills the memory
            del self._labels[next(iter(self._labels))]


class StatusLine:
    """Messages on standard error, and on a terminal one line that changes."""

    def __init__(
        self, name: str, statistics: Statistics, *, clock: Clock, console: Console, shown: bool
    ) -> None:
        self._name = name
        self._statistics = statistics
        self._clock = clock
        self._console = console
        self._live = (
            Live(
                console=console,
                get_renderable=self.render,
                auto_refresh=False,  # rich's own thread cannot read the event loop's clock
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            if shown and console.is_terminal
            else None
        )

    def render(self) -> Text:
        """The changing line as it is now."""
        statistics = self._statistics
        fps = statistics.fps(self._clock.now())
        parts = [f"{fps:.1f} fps", f"age {statistics.age_ms:.0f} ms", f"dropped {statistics.dropped}"]
        if statistics.failed:
            parts.append(f"failed {statistics.failed}")
        found = ", ".join(f"{count} {label}" for label, count in statistics.found.most_common())
        parts.append(f"found {found or 'nothing'}")
        return Text(f"{self._name}  {'  '.join(parts)}", no_wrap=True, overflow="ellipsis")

    def refresh(self) -> None:
        """Draw the changing line again."""
        if self._live is not None:
            self._live.refresh()

    def report(self, text: str) -> None:
        """Print a message that stays."""
        self._console.print(
            f"{self._name}: {text}", markup=False, emoji=False, highlight=False, soft_wrap=True
        )

    def summarise(self, seconds: float) -> None:
        """Print the totals."""
        statistics = self._statistics
        rate = statistics.answered / seconds if seconds else 0.0
        self.report(
            f"{statistics.answered} answered in {seconds:.1f} s ({rate:.1f} fps), "
            f"{statistics.dropped} dropped, {statistics.failed} failed; "
            f"age p50 {statistics.age_quantile(0.5):.0f} ms, p95 {statistics.age_quantile(0.95):.0f} ms"
        )
        if statistics.identities:
            counted = ", ".join(f"{label} {count}" for label, count in statistics.identities.most_common())
            self.report(f"identities: {counted}")

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
