"""The measurements behind each claim about a running server."""

import asyncio
from dataclasses import dataclass, replace
from statistics import mean

from loadtest.claims import (
    claim_alone,
    claim_memory,
    claim_overload,
    claim_recovery,
    claim_streams,
    claim_throughput,
)
from loadtest.closed import run_closed
from loadtest.coldstart import measure_imports_mb
from loadtest.open_loop import measure_rate
from loadtest.outcome import Finding, Outcome
from loadtest.row import Row
from loadtest.session import Session
from loadtest.soak import run_soak
from loadtest.streams import Cast, run_streams
from loadtest.targets import Transport
from service.process.limits import usable_cores

CLIENTS = (1, 4, 16)
_LOADS = (1.5, 3.0)  # times the capacity
_CAMERAS = (1, 4, 8)
_CAMERA_LOAD = 2.0  # times the floor, by all cameras together
_NAMES: dict[Transport, str] = {"rest": "REST", "grpc": "gRPC"}


class Stopped(Exception):
    """Ctrl-C came before all that a claim needs was measured."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of each load, of the soak at most, and of each line of stages."""

    load: float
    soak: float
    stage: float


async def check_throughput(session: Session, pace: Pace) -> Outcome:
    """Closed loops beside the floor."""
    name = _NAMES[session.setup.target.transport]
    rows = [await _measure_clients(session, count, pace.load) for count in CLIENTS]
    named = tuple(replace(row, name=f"{name} {row.name}") for row in rows)
    return Outcome(named, tuple(claim_throughput(name, rows[1:])))


async def check_alone(session: Session, pace: Pace) -> Outcome:
    """One client in turns with one image at a time in all cores, without a server."""
    row = await _measure_clients(session, 1, pace.load)
    return Outcome((replace(row, name="alone"),), (claim_alone(row),))


async def check_overload(session: Session, alone: Session, calm: Row, pace: Pace) -> Outcome:
    """More than can be done, what can be done just before and after it, and a lone client a second after."""
    rows, findings, again = list[Row](), list[Finding](), list[Row]()
    full = 2 * usable_cores()  # clients: one at work and one on its way for each core
    before = await _measure_clients(session, full, pace.load / 2)
    for load in _LOADS:
        offered = load * before.throughput
        row = await measure_rate(session, offered, arrivals="poisson", seconds=pace.load)
        again.append(await _measure_clients(alone, 1, pace.load / 2))
        after = await _measure_clients(session, full, pace.load / 2)
        capacity = mean((before.throughput, after.throughput))
        findings += claim_overload(load, row, capacity)
        rows += [
            replace(before, name=f"before {load:.0%}"),
            replace(row, name=f"load {load:.0%}"),
            replace(again[-1], name=f"alone after {load:.0%}"),
        ]
        before = after
    rows.append(replace(before, name="after overload"))
    return Outcome(tuple(rows), (*findings, claim_recovery(calm, again)))


async def check_streams(session: Session, unloaded: Row, pace: Pace) -> Outcome:
    """Cameras that send twice what can be done."""
    floor = unloaded.floor.rate if unloaded.floor else unloaded.throughput
    rows: list[Row] = []
    for count in _CAMERAS:
        cast = Cast((count,), fps=_CAMERA_LOAD * floor / count, policy="latest")
        rows += (await run_streams(session, cast, seconds=pace.load)).rows
    return Outcome(tuple(rows), tuple(claim_streams(rows, unloaded)))


async def check_memory(session: Session, pace: Pace) -> Outcome:
    """A full house of all sizes, models and errors, and the server's resident memory in it."""
    soaked = await run_soak(session, max(CLIENTS), seconds=pace.soak, mixed=True)
    memory = next((series.values for series in soaked.series if series.name == "memory"), ())
    imports = await asyncio.to_thread(measure_imports_mb)
    (row,) = soaked.rows
    named = replace(row, name=f"{row.answered + sum(row.errors.values())} mixed requests")
    claims = claim_memory(max(memory, default=None), imports, memory)
    return replace(soaked, rows=(named,), findings=tuple(claims))


async def _measure_clients(session: Session, count: int, seconds: float) -> Row:
    rows = (await run_closed(session, (count,), seconds=seconds)).rows
    if not rows:
        raise Stopped
    return rows[0]
