"""Warnings about rows that a disturbed machine or too short a run makes doubtful."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadtest.measurement.host_stats import HostStats
from loadtest.measurement.row import BaselineShare, Row

_GENERATOR_CORES = 0.8
_LATE_MS, _LATE_SHARE = 2.0, 0.1  # of the median latency
_OTHERS_CORES = 0.1
_STEAL_CORES = 0.02
_BASELINE_DRIFT = 0.1
_WIDE = 0.1  # interval of a share
_FEW = 100


@dataclass(frozen=True, slots=True)
class RowWarning:
    """A warning of one kind; the larger its size, the worse."""

    kind: str
    size: float
    text: str


def list_warnings(rows: Sequence[Row]) -> list[str]:
    """A line per kind of warning: the worst row's, and the number of rows that share it."""
    found = [(warning, row.name) for row in rows for warning in find_warnings(row)]
    lines = []
    for kind in dict.fromkeys(warning.kind for warning, _ in found):
        same = [(warning, name) for warning, name in found if warning.kind == kind]
        worst, name = max(same, key=lambda item: item[0].size)
        others = f" (the worst of {len(same)} such loads out of {len(rows)})" if len(same) > 1 else ""
        lines.append(f"{name}: {worst.text}{others}")
    return lines


def find_warnings(row: Row) -> tuple[RowWarning, ...]:
    """All warnings about a row, none after an undisturbed run."""
    return (
        *_judge_generator(row),
        *_judge_machine(row.host),
        *_judge_baseline(row.baseline),
        *_judge_answers(row),
    )


def _judge_generator(row: Row) -> Iterator[RowWarning]:
    cores = row.host.generator
    if cores > _GENERATOR_CORES:
        text = f"the load test used {cores:.2f} of a core and may be the bottleneck: the server can do more"
        yield RowWarning("generator busy", cores, text)
    late_ms = max(row.host.late_p99_ms, row.sent_late.p99 or 0)
    if late_ms > max(_LATE_MS, _LATE_SHARE * (row.latency.p50 or 0)):
        text = (
            f"the load test ran {late_ms:.1f} ms late (p99) without a free core, and latencies include that"
        )
        yield RowWarning("generator late", late_ms, text)


def _judge_machine(host: HostStats) -> Iterator[RowWarning]:
    others, steal = host.others, host.steal
    if others is not None and others > _OTHERS_CORES:
        yield RowWarning(
            "others", others, f"other processes used {others:.2f} cores: the machine was disturbed"
        )
    if steal > _STEAL_CORES:
        yield RowWarning("steal", steal, f"the hypervisor took {steal:.2f} cores: the machine was disturbed")


def _judge_baseline(baseline: BaselineShare | None) -> Iterator[RowWarning]:
    if baseline is None:
        return
    share = baseline.share
    if share.low is not None and share.high is not None:
        width = share.high - share.low
        if width > _WIDE:
            text = (
                f"the share of the baseline differs much between slices: {share.low:.2f} to {share.high:.2f}"
            )
            yield RowWarning("baseline", width, text)
        return
    first, last = baseline.baselines[0].rate, baseline.baselines[-1].rate
    if abs(last / first - 1) > _BASELINE_DRIFT:
        text = f"the baseline went from {first:.1f} to {last:.1f} images/s: the share is no more exact"
        yield RowWarning("baseline", abs(last / first - 1), text)


def _judge_answers(row: Row) -> Iterator[RowWarning]:
    if 0 < row.answered < _FEW:
        text = f"only {row.answered} answers: p99 is about the slowest of them; run it longer"
        yield RowWarning("few", -row.answered, text)
