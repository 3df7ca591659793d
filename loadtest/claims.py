"""What this product promises, and how each promise is read off the measurements."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from loadtest.outcome import Finding
from loadtest.row import Row
from loadtest.share import Ratio
from loadtest.soak import measure_growth

_SHARE = 0.95
_STREAM_SHARES = {1: 0.90}  # of the floor, by cameras; _SHARE for any other number
_OVERLOAD_SHARES = {1.5: 0.95, 3.0: 0.85}  # of the capacity, by load
_ALONE = 1.15
_REFUSAL_MS = 100.0
_RECOVERY = 1.2
_AGE = 3.0
_MEMORY_MB = 200.0
_GROWTH = 0.02
_COLD_START_S = 1.0


def claim_throughput(transport: str, rows: Sequence[Row]) -> list[Finding]:
    """Closed loops keep the floor."""
    return [_claim_share(f"{transport}, {row.name}: throughput over floor", row, _SHARE) for row in rows]


def claim_alone(row: Row) -> Finding:
    """One client is answered almost as fast as all cores can; the floor uses all of them for one image."""
    slowness = _slowness(row)
    name = "1 client: p50 over in-process latency with all cores"
    return _bound(at_most(name, _value(slowness), _ALONE), slowness)


def claim_overload(load: float, row: Row, capacity: float) -> list[Finding]:
    """What can be done is done in time, and the rest is refused at once."""
    name = f"{load:.0%} of capacity"
    return [
        at_least(f"{name}: answers within 1 s over capacity", row.in_time / capacity, _OVERLOAD_SHARES[load]),
        at_most(f"{name}: p99 of refusals, ms", row.refusals.p99 or 0.0, _REFUSAL_MS),
    ]


def claim_recovery(before: Row, after: Sequence[Row]) -> Finding:
    """An overload leaves nothing behind, by the worst of several; each latency over the floor beside it."""
    calm, again = _slowness(before), [_slowness(row) for row in after]
    ratios = [one.estimate / calm.estimate for one in again if one and calm]
    worst = max(ratios) if len(ratios) == len(after) else None
    return at_most("a second after the overload: p50 over p50 before it", worst, _RECOVERY)


def claim_streams(rows: Sequence[Row], unloaded: Row) -> list[Finding]:
    """Cameras that send twice what can be done keep the floor, and a lone one's results are fresh."""
    findings = [
        _claim_share(
            f"{row.clients} overloading camera(s): frames over floor",
            row,
            _STREAM_SHARES.get(row.clients or 0, _SHARE),
        )
        for row in rows
    ]
    lone = next((row for row in rows if row.clients == 1), None)
    if lone:
        age, latency = lone.latency.p95, _latency_beside(lone, unloaded)
        ratio = age / latency if age and latency else None
        findings.append(at_most("1 overloading camera: age p95 over unloaded latency", ratio, _AGE))
    return findings


def claim_memory(peak_mb: float | None, imports_mb: float, memory: Sequence[float]) -> list[Finding]:
    """The server is small, and stays so."""
    above = None if peak_mb is None else peak_mb - imports_mb
    growth = measure_growth(memory) if memory else None
    return [
        at_most("resident memory under load above its imports, MB", above, _MEMORY_MB),
        at_most("growth of resident memory under load", growth, _GROWTH),
    ]


def claim_cold_start(seconds: Sequence[float]) -> Finding:
    """A server is there when it is needed."""
    return at_most("process start to first good answer, s", median(seconds), _COLD_START_S)


def at_least(name: str, value: float | None, target: float) -> Finding:
    """A claim that is kept by values from the target up; one that cannot be measured is not."""
    met = value is not None and value >= target
    return Finding(name, value, "", target=f"at least {target:g}", met=met)


def at_most(name: str, value: float | None, target: float) -> Finding:
    """A claim that is kept by values up to the target; one that cannot be measured is not."""
    met = value is not None and value <= target
    return Finding(name, value, "", target=f"at most {target:g}", met=met)


def _claim_share(name: str, row: Row, target: float) -> Finding:
    share = row.floor.share if row.floor else None
    return _bound(at_least(name, _value(share), target), share)


def _latency_beside(row: Row, unloaded: Row) -> float | None:
    """The unloaded median, as slow as the machine was when the row was measured."""
    if row.floor and unloaded.floor and unloaded.floor.slowness:
        return unloaded.floor.slowness.estimate * median(floor.p50_ms for floor in row.floor.floors)
    return unloaded.latency.p50


def _slowness(row: Row) -> Ratio | None:
    return row.floor.slowness if row.floor else None


def _value(ratio: Ratio | None) -> float | None:
    return ratio.estimate if ratio else None


def _bound(finding: Finding, ratio: Ratio | None) -> Finding:
    """The finding, with how sure it is."""
    return replace(finding, low=ratio.low, high=ratio.high) if ratio else finding
