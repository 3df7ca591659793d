"""Two servers, or two settings of one, in turns: ratios that a drifting machine does not spoil."""

from collections.abc import Sequence

from loadtest.bootstrap import bootstrap_ratio
from loadtest.closed import ClosedLoop
from loadtest.outcome import Finding, Outcome
from loadtest.row import Load, Row
from loadtest.session import Session


async def run_compare(
    session_a: Session, session_b: Session, *, clients: int, rounds: int, seconds: float
) -> Outcome:
    """Rounds of A B, B A, A B, ...; each side is measured for `seconds` in a round."""
    rows_a: list[Row] = []
    rows_b: list[Row] = []
    async with session_a.clients(clients) as clients_a, session_b.clients(clients) as clients_b:
        side_a = (session_a, ClosedLoop(clients_a, session_a.setup.photos), "A", rows_a)
        side_b = (session_b, ClosedLoop(clients_b, session_b.setup.photos), "B", rows_b)
        for number in range(rounds):
            for session, loop, side, rows in (side_a, side_b) if number % 2 == 0 else (side_b, side_a):
                load = Load(f"{side} {number + 1}", clients=clients)
                rows.append(await session.measure(load, loop, seconds=seconds))
            if session_a.stop.is_set():
                break
    rows = [row for pair in zip(rows_a, rows_b, strict=True) for row in pair]
    return Outcome(tuple(rows), compare_rows(rows_a, rows_b))


def compare_rows(rows_a: Sequence[Row], rows_b: Sequence[Row]) -> tuple[Finding, ...]:
    """B over A, round by round: throughput, and latency where every round of both has one."""
    pairs = list(zip(rows_a, rows_b, strict=True))
    return (
        _to_finding("throughput, B over A", [(a.throughput, b.throughput) for a, b in pairs]),
        _to_finding("p50 latency, B over A", [(a.latency.p50, b.latency.p50) for a, b in pairs]),
        _to_finding("p99 latency, B over A", [(a.latency.p99, b.latency.p99) for a, b in pairs]),
    )


def _to_finding(name: str, pairs: Sequence[tuple[float | None, float | None]]) -> Finding:
    known = [(a, b) for a, b in pairs if a and b]
    if not known or len(known) < len(pairs):
        return Finding(name, None, "times")
    ratio = bootstrap_ratio([b for _, b in known], [a for a, _ in known])
    return Finding(name, ratio.estimate, "times", low=ratio.low, high=ratio.high)
