"""Reasons to doubt a run, told instead of printing a wrong number."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadtest.row import Row
from loadtest.share import FloorShare
from loadtest.surroundings import Surroundings

_GENERATOR_CORES = 0.8
_LATE_MS, _LATE_SHARE = 2.0, 0.1  # of the median latency
_OTHERS_CORES = 0.1
_STEAL_CORES = 0.02
_FLOOR_DRIFT = 0.1
_WIDE = 0.1  # interval of a share
_FEW = 100


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason of one kind; the larger, the worse."""

    kind: str
    size: float
    text: str


def list_doubts(rows: Sequence[Row]) -> list[str]:
    """A line per kind of doubt: the worst row's, and how many others share it."""
    found = [(doubt, row.name) for row in rows for doubt in find_doubts(row)]
    lines = []
    for kind in dict.fromkeys(doubt.kind for doubt, _ in found):
        same = [(doubt, name) for doubt, name in found if doubt.kind == kind]
        worst, name = max(same, key=lambda item: item[0].size)
        others = f" (so in {len(same)} of {len(rows)} loads, this is the worst)" if len(same) > 1 else ""
        lines.append(f"{name}: {worst.text}{others}")
    return lines


def find_doubts(row: Row) -> tuple[Doubt, ...]:
    """Every reason, none in a calm run."""
    return (
        *_judge_generator(row),
        *_judge_machine(row.surroundings),
        *_judge_floor(row.floor),
        *_judge_answers(row),
    )


def _judge_generator(row: Row) -> Iterator[Doubt]:
    cores = row.surroundings.generator
    if cores > _GENERATOR_CORES:
        text = f"the load test used {cores:.2f} of a core and may be the bottleneck: the server can do more"
        yield Doubt("generator busy", cores, text)
    late_ms = max(row.surroundings.late_p99_ms, row.sent_late.p99 or 0)
    if late_ms > max(_LATE_MS, _LATE_SHARE * (row.latency.p50 or 0)):
        text = f"the load test ran {late_ms:.1f} ms late (p99) for want of a core, and latencies include that"
        yield Doubt("generator late", late_ms, text)


def _judge_machine(surroundings: Surroundings) -> Iterator[Doubt]:
    others, steal = surroundings.others, surroundings.steal
    if others is not None and others > _OTHERS_CORES:
        yield Doubt("others", others, f"other processes used {others:.2f} cores: the machine was disturbed")
    if steal > _STEAL_CORES:
        yield Doubt("steal", steal, f"the hypervisor took {steal:.2f} cores: the machine was disturbed")


def _judge_floor(floor: FloorShare | None) -> Iterator[Doubt]:
    if floor is None:
        return
    share = floor.share
    if share.low is not None and share.high is not None:
        width = share.high - share.low
        if width > _WIDE:
            text = f"its slices keep very different shares of the floor: {share.low:.2f} to {share.high:.2f}"
            yield Doubt("floor", width, text)
        return
    first, last = floor.floors[0].rate, floor.floors[-1].rate
    if abs(last / first - 1) > _FLOOR_DRIFT:
        text = f"the floor went from {first:.1f} to {last:.1f} images/s: the share is no better known"
        yield Doubt("floor", abs(last / first - 1), text)


def _judge_answers(row: Row) -> Iterator[Doubt]:
    if 0 < row.answered < _FEW:
        text = f"only {row.answered} answers: p99 is little more than the slowest of them; run it longer"
        yield Doubt("few", -row.answered, text)
