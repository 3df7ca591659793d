"""The server's processes on this machine: what they use, and whether they grow."""

from collections.abc import Iterator
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """Of a group of processes: CPU seconds since they started, resident memory, open descriptors."""

    cpu_seconds: float
    resident_mb: float
    descriptors: int


def find_listeners(port: int) -> tuple[int, ...]:
    """Ids of the processes that listen on a TCP port.

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
    return tuple(sorted(pid for pid in listening if pid))


def measure_use(pids: tuple[int, ...]) -> ProcessUse | None:
    """What these processes and their children use together; None when none of them is left."""
    uses = [use for process in _with_children(pids) if (use := _measure_one(process))]
    if not uses:
        return None
    return ProcessUse(
        cpu_seconds=sum(use.cpu_seconds for use in uses),
        resident_mb=sum(use.resident_mb for use in uses),
        descriptors=sum(use.descriptors for use in uses),
    )


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
                resident_mb=process.memory_info().rss / 2**20,
                descriptors=process.num_fds(),
            )
    except psutil.Error:
        return None
