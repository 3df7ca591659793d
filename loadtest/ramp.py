"""The highest rate that a server keeps up with: bisection over open loops."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from loadtest.closed import run_closed
from loadtest.open_loop import measure_rate
from loadtest.outcome import Finding, Outcome
from loadtest.row import Row
from loadtest.schedule import Arrivals
from loadtest.session import Session

_CLIENTS = 16  # enough to fill any server of a few cores
_ABOVE = 1.1  # of the closed loop's throughput: a rate that no server keeps up with


@dataclass(frozen=True, slots=True)
class Goal:
    """What keeping up means: p99 in milliseconds, and the share of requests that may fail."""

    p99_ms: float
    errors: float

    def __str__(self) -> str:
        return f"p99 up to {self.p99_ms:g} ms, errors up to {100 * self.errors:g} %"

    def is_kept(self, row: Row) -> bool:
        failed = sum(row.errors.values())
        p99 = row.latency.p99
        return p99 is not None and p99 <= self.p99_ms and failed <= self.errors * (failed + row.answered)


async def run_ramp(
    session: Session, goal: Goal, *, arrivals: Arrivals, steps: int, seconds: float
) -> Outcome:
    """First what the server can do at most, then the search below that."""
    rows = list((await run_closed(session, (_CLIENTS,), seconds=seconds)).rows)

    async def keeps(rate: float) -> bool:
        row = await measure_rate(session, rate, arrivals=arrivals, seconds=seconds)
        rows.append(row)
        return goal.is_kept(row)

    highest = await find_highest(
        keeps, _ABOVE * rows[0].throughput, steps=steps, is_stopped=session.stop.is_set
    )
    finding = Finding("highest rate that keeps the goal", highest, "req/s", target=str(goal))
    return Outcome(tuple(rows), (finding,))


async def find_highest(
    keeps: Callable[[float], Awaitable[bool]], limit: float, *, steps: int, is_stopped: Callable[[], bool]
) -> float:
    """The highest of the tried rates that kept, 0 when none did; tries `steps` of them below `limit`."""
    kept, failed = 0.0, limit
    for _ in range(steps):
        if is_stopped():
            break
        rate = round((kept + failed) / 2, 1)
        if await keeps(rate):
            kept = rate
        else:
            failed = rate
    return kept
