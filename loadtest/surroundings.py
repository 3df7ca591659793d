"""Who used the cores during a measurement, and whether the generator itself was late."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import numpy as np
import psutil

from loadtest.latencies import percentile
from loadtest.processes import ProcessUse, measure_use

_TICK = 0.02  # seconds between two looks at the clock
_BUSY = ("user", "nice", "system", "irq", "softirq")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Cores in use on average over a measurement; None where it cannot be told.

    generator: this process; server: those that listen on its port, with their children;
    others: everybody else, which is disturbance; steal: taken by the hypervisor.
    late_p99_ms: how much later than due this process's event loop ran, in milliseconds.
    server_mb, server_descriptors: the server's resident memory and open descriptors at the end.
    """

    seconds: float
    generator: float
    server: float | None
    others: float | None
    steal: float
    late_p99_ms: float
    server_mb: float | None
    server_descriptors: int | None


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """CPU seconds used so far."""

    at: float
    busy: float
    steal: float
    generator: float
    server: ProcessUse | None


class Watch:
    """Looks around whenever it is told to; what happens in between does not count."""

    def __init__(self, server_pids: tuple[int, ...]) -> None:
        self._pids = server_pids
        self._delays: list[float] = []
        self._spans: list[tuple[_Snapshot, _Snapshot]] = []

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While the block runs."""
        ticker = asyncio.create_task(self._tick())
        start = _take_snapshot(self._pids)
        try:
            yield
        finally:
            self._spans.append((start, _take_snapshot(self._pids)))
            ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticker

    def sum_up(self) -> Surroundings:
        """Of all that was watched; call it after that."""
        late = percentile(np.array(self._delays), 99) * 1e3 if self._delays else 0.0
        return _compare(self._spans, late_p99_ms=late)

    async def _tick(self) -> None:
        while True:
            due = time.perf_counter() + _TICK
            await asyncio.sleep(_TICK)
            self._delays.append(max(0.0, time.perf_counter() - due))


def _take_snapshot(pids: tuple[int, ...]) -> _Snapshot:
    cpu = psutil.cpu_times()
    return _Snapshot(
        at=time.perf_counter(),
        busy=sum(getattr(cpu, name, 0.0) for name in _BUSY),
        steal=getattr(cpu, "steal", 0.0),
        generator=time.process_time(),
        server=measure_use(pids),
    )


def _compare(spans: Sequence[tuple[_Snapshot, _Snapshot]], *, late_p99_ms: float) -> Surroundings:
    seconds = sum(end.at - start.at for start, end in spans)
    generator = sum(end.generator - start.generator for start, end in spans) / seconds
    busy = sum(end.busy - start.busy for start, end in spans) / seconds
    served = [
        max(0.0, end.server.cpu_seconds - start.server.cpu_seconds)
        for start, end in spans
        if start.server and end.server
    ]
    server = sum(served) / seconds if len(served) == len(spans) else None
    last = spans[-1][1].server
    return Surroundings(
        seconds=seconds,
        generator=generator,
        server=server,
        others=None if server is None else max(0.0, busy - generator - server),
        steal=sum(end.steal - start.steal for start, end in spans) / seconds,
        late_p99_ms=late_p99_ms,
        server_mb=last.resident_mb if last else None,
        server_descriptors=last.descriptors if last else None,
    )
