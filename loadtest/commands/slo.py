"""The service-level objectives of this product, and each one's value in the measurements."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from loadtest.commands.soak import measure_growth
from loadtest.measurement.row import BaselineShare, Row
from loadtest.measurement.statistics import Interval
from loadtest.reports.content import Finding
from loadtest.types import Transport

_NAMES: dict[Transport, str] = {"rest": "REST", "grpc": "gRPC"}
_SHARES: dict[Transport, float] = {"rest": 0.95, "grpc": 0.90}  # of the baseline, by transport
_STREAM_SHARE, _LONE_STREAM_SHARE = 0.92, 0.90
_OVERLOAD_SHARES = {1.5: 0.95, 3.0: 0.90}  # of the capacity, by load
_CROWD_SHARE = 0.95
_ALONE = 1.15
_REFUSAL_MS = 100.0
_RECOVERY = 1.2
_AGE = 3.0
_MEMORY_MB = 300.0
_GROWTH = 0.02
_COLD_START_S = 1.0


def judge_throughput(transport: Transport, rows: Sequence[Row]) -> list[Finding]:
    """Closed loops get most of the baseline."""
    return [
        _judge_share(f"{_NAMES[transport]}, {row.name}: throughput over baseline", row, _SHARES[transport])
        for row in rows
    ]


def judge_crowd(row: Row, full: Row) -> Finding:
    """More clients than the queue holds get as many good answers as a few."""
    name = f"REST, {row.name}: throughput over that of {full.name}"
    return at_least(name, row.throughput / full.throughput if full.throughput else None, _CROWD_SHARE)


def judge_alone(row: Row) -> Finding:
    """One client waits only a little longer than an image takes on all cores."""
    slowness = row.baseline.slowness if row.baseline else None
    name = "1 client: p50 over in-process latency with all cores"
    return _bound(at_most(name, slowness.estimate if slowness else None, _ALONE), slowness)


def judge_overload(load: float, row: Row, capacity: float) -> list[Finding]:
    """An overloaded server answers as many requests as before in time, and refuses the rest at once."""
    name, goodput = f"{load:.0%} of capacity", row.in_time / capacity if capacity else None
    return [
        at_least(f"{name}: answers within 1 s over capacity", goodput, _OVERLOAD_SHARES[load]),
        at_most(f"{name}: p99 of refusals, ms", row.refusals.p99 or 0.0, _REFUSAL_MS),
    ]


def judge_recovery(before: Row, after: Sequence[Row]) -> Finding:
    """An overload does not slow later requests: the worst of several, each over the baseline next to it."""
    calm, again = _slowness(before), [_slowness(row) for row in after]
    ratios = [one / calm for one in again if one and calm]
    worst = max(ratios) if len(ratios) == len(after) else None
    return at_most("a second after the overload: p50 over p50 before it", worst, _RECOVERY)


def judge_streams(rows: Sequence[Row], unloaded: Row) -> list[Finding]:
    """Cameras that send twice the capacity get most of the baseline, and a lone one's results are fresh."""
    findings = []
    for row in rows:
        target = _LONE_STREAM_SHARE if row.clients == 1 else _STREAM_SHARE
        findings.append(
            _judge_share(f"{row.clients} overloading camera(s): frames over baseline", row, target)
        )
    lone = next((row for row in rows if row.clients == 1), None)
    if lone:
        age, latency = lone.latency.p95, _expect_latency(lone.baseline, unloaded)
        ratio = age / latency if age and latency else None
        findings.append(at_most("1 overloading camera: age p95 over unloaded latency", ratio, _AGE))
    return findings


def judge_memory(memory: Sequence[float]) -> list[Finding]:
    """The server is small and does not grow; `memory`: PSS of all its processes during a soak, in MB."""
    return [
        at_most("memory (PSS) of all processes under load, MB", max(memory, default=None), _MEMORY_MB),
        at_most("growth of memory under load", measure_growth(memory) if memory else None, _GROWTH),
    ]


def judge_cold_start(seconds: Sequence[float]) -> Finding:
    """A server answers soon after its start."""
    return at_most("process start to first good answer, s", median(seconds), _COLD_START_S)


def at_least(name: str, value: float | None, target: float) -> Finding:
    """An objective that values from the target up meet; an unknown value does not meet it."""
    met = value is not None and value >= target
    return Finding(name, value, "", target=f"at least {target:g}", met=met)


def at_most(name: str, value: float | None, target: float) -> Finding:
    """An objective that values up to the target meet; an unknown value does not meet it."""
    met = value is not None and value <= target
    return Finding(name, value, "", target=f"at most {target:g}", met=met)


def _judge_share(name: str, row: Row, target: float) -> Finding:
    """The share of the baseline, less the clients' cost when it is known."""
    if row.baseline is None:
        return at_least(name, None, target)
    share = row.baseline.net or row.baseline.share
    words = f"{name} less the clients' cost" if row.baseline.net else name
    return _bound(at_least(words, share.estimate, target), share)


def _expect_latency(baseline: BaselineShare | None, unloaded: Row) -> float | None:
    """The unloaded median, corrected for the machine's speed at the time of the row."""
    calm = _slowness(unloaded)
    if baseline and calm:
        return calm * median(run.p50_ms for run in baseline.baselines)
    return unloaded.latency.p50


def _slowness(row: Row) -> float | None:
    return row.baseline.slowness.estimate if row.baseline and row.baseline.slowness else None


def _bound(finding: Finding, interval: Interval | None) -> Finding:
    return replace(finding, low=interval.low, high=interval.high) if interval else finding
