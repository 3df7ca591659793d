"""The machine during a run: its description, the cores in use, the server's processes and their memory."""

import asyncio
import contextlib
import os
import platform
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from loadtest.measurement.statistics import percentile
from service.process.limits import usable_cores

_TICK_S = 0.02  # between two looks at the clock
_BUSY = ("user", "nice", "system", "irq", "softirq")


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that the figures of a report come from."""

    cpu: str
    cores: int
    memory_gb: float
    system: str
    python: str


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """Sums over a group of processes: CPU seconds since their start, memory, open descriptors.

    memory_mb: proportional set size (PSS), which counts a page that N processes share once and not N times;
    resident memory on systems that do not report PSS.
    """

    cpu_seconds: float
    memory_mb: float
    descriptors: int


@dataclass(frozen=True, slots=True)
class HostStats:
    """Cores in use on average over a measurement; None when the system hides them.

    generator: this process; server: the server's processes;
    others: all other processes, a disturbance; steal: taken by the hypervisor.
    late_p99_ms: delay of this process's event loop, in milliseconds.
    server_mb, server_descriptors: the server's memory (PSS) and open descriptors at the end.
    """

    seconds: float
    generator: float
    server: float | None
    others: float | None
    steal: float
    late_p99_ms: float
    server_mb: float | None
    server_descriptors: int | None


def describe_machine() -> Machine:
    """This machine; its cores are those that this process may use."""
    return Machine(
        cpu=_name_cpu(),
        cores=usable_cores(),
        memory_gb=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
    )


def find_servers(port: int) -> tuple[int, ...]:
    """Process ids of the servers on a TCP port; their other processes are below them in the process tree.

    Empty when the system hides them: another user's, a container's.
    """
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return ()
    listening = {
        connection.pid
        for connection in connections
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr[1] == port
    }
    return tuple(sorted({_climb(pid) for pid in listening if pid}))


def measure_use(pids: tuple[int, ...]) -> ProcessUse | None:
    """Sums over these processes and all below them; None when none of them is left."""
    uses = [use for process in _with_children(pids) if (use := _measure_one(process))]
    if not uses:
        return None
    return ProcessUse(
        cpu_seconds=sum(use.cpu_seconds for use in uses),
        memory_mb=sum(use.memory_mb for use in uses),
        descriptors=sum(use.descriptors for use in uses),
    )


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """CPU seconds used so far."""

    at: float
    busy: float
    steal: float
    generator: float
    server: ProcessUse | None


class HostMonitor:
    """Watches the machine while a `watching` block runs; the time between blocks does not count."""

    def __init__(self, server_pids: tuple[int, ...]) -> None:
        self._pids = server_pids
        self._delays: list[float] = []
        self._spans: list[tuple[_Snapshot, _Snapshot]] = []

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        ticker = asyncio.create_task(self._tick())
        start = _take_snapshot(self._pids)
        try:
            yield
        finally:
            self._spans.append((start, _take_snapshot(self._pids)))
            ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticker

    def sum_up(self) -> HostStats:
        """The averages over all blocks, of which there must be one."""
        late = percentile(np.array(self._delays), 99) * 1e3 if self._delays else 0.0
        return _compare(self._spans, late_p99_ms=late)

    async def _tick(self) -> None:
        while True:
            due = time.perf_counter() + _TICK_S
            await asyncio.sleep(_TICK_S)
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


def _compare(spans: Sequence[tuple[_Snapshot, _Snapshot]], *, late_p99_ms: float) -> HostStats:
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
    return HostStats(
        seconds=seconds,
        generator=generator,
        server=server,
        others=None if server is None else max(0.0, busy - generator - server),
        steal=sum(end.steal - start.steal for start, end in spans) / seconds,
        late_p99_ms=late_p99_ms,
        server_mb=last.memory_mb if last else None,
        server_descriptors=last.descriptors if last else None,
    )


def _climb(pid: int) -> int:
    """A server's first process: the highest ancestor with the same executable and session, if not our own."""
    try:
        process, ours = psutil.Process(pid), psutil.Process()
        above_us = {ours.pid, *(parent.pid for parent in ours.parents())}
        for parent in process.parents():
            if parent.pid in above_us or parent.exe() != process.exe():
                break
            if os.getsid(parent.pid) != os.getsid(pid):
                break
            pid = parent.pid
    except (psutil.Error, OSError):
        pass  # the system hides the rest of the tree
    return pid


def _with_children(pids: tuple[int, ...]) -> Iterator[psutil.Process]:
    seen: set[int] = set()
    for pid in pids:
        try:
            root = psutil.Process(pid)
            family = [root, *root.children(recursive=True)]
        except psutil.Error:
            continue
        yield from (process for process in family if process.pid not in seen)
        seen.update(process.pid for process in family)


def _measure_one(process: psutil.Process) -> ProcessUse | None:
    try:
        with process.oneshot():
            cpu = process.cpu_times()
            return ProcessUse(
                cpu_seconds=cpu.user + cpu.system + cpu.children_user + cpu.children_system,
                memory_mb=_measure_memory(process) / 2**20,
                descriptors=_count_descriptors(process),
            )
    except psutil.Error:
        return None


def _measure_memory(process: psutil.Process) -> int:
    """PSS in bytes; resident memory when the system hides the pages of a process that dropped privileges."""
    try:
        memory = process.memory_full_info()
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    return int(getattr(memory, "pss", memory.rss))


def _count_descriptors(process: psutil.Process) -> int:
    """Open descriptors; 0 when the system hides them."""
    try:
        return int(process.num_fds())
    except psutil.AccessDenied:
        return 0


def _name_cpu() -> str:
    """The processor's name; /proc/cpuinfo calls it "model name", and "Model" on some boards."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("model")]
    return next((name for name in names if not name.isdigit()), platform.machine())
