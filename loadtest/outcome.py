"""What a command found."""

from dataclasses import dataclass

from loadtest.row import Row


@dataclass(frozen=True, slots=True)
class Finding:
    """A figure that a whole run was made for; its bounds are a confidence interval of 95 %.

    target: what was asked of it, in words; met: whether it was kept.
    """

    name: str
    value: float | None
    unit: str
    low: float | None = None
    high: float | None = None
    target: str | None = None
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Values over the seconds of a run."""

    name: str
    unit: str
    seconds: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table of its own kind: text, the first column is the line's name."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Rows in the order in which they were measured, and what they add up to."""

    rows: tuple[Row, ...]
    findings: tuple[Finding, ...] = ()
    series: tuple[Series, ...] = ()
    sheets: tuple[Sheet, ...] = ()
