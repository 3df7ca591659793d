"""The limits that the machine sets to this process: cores, open files, memory, and addresses to listen on."""

import contextlib
import ctypes
import math
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from service.errors import InvalidSetting

RESERVE = 256  # descriptors for models, logs, libraries and gRPC's connections
ROOT = Path("/")
ALLOCATOR = {  # options of glibc's mallopt
    -3: 1_000_000,  # M_MMAP_THRESHOLD: bytes of a block that gets pages of its own
    -1: 4_000_000,  # M_TRIM_THRESHOLD: free bytes at the end of the heap that are kept
    -8: 2,  # M_ARENA_MAX: heaps that threads share
}


def usable_cores(root: Path = ROOT) -> int:
    """The cores this process may use: its affinity, and the CPU quota of its container rounded up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = list(_read_quotas(root))
    return max(1, min([cores, *map(math.ceil, quotas)]))


def _read_quotas(root: Path) -> Iterator[float]:
    """The CPUs that each control group above this process allows, of version 1 or 2."""
    mounts = root / "sys/fs/cgroup"
    yield from _read_quota(mounts)
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # this system has no control groups
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = mounts / controllers
        folder = mount / place.strip("/")
        # A container may see only its own group, so the path that the host knows is not always there.
        for group in (folder, *folder.parents):
            if not group.is_relative_to(mount):
                break
            yield from _read_quota(group)
    yield from _read_quota(mounts / "cpu")


def _read_quota(group: Path) -> Iterator[float]:
    """The quota of one group, if it has one: "max" in version 2 and -1 in version 1 are none."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = (group / "cpu.max").read_text().split()
        yield int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):
        microseconds = int((group / "cpu.cfs_quota_us").read_text())
        if microseconds > 0:
            yield microseconds / int((group / "cpu.cfs_period_us").read_text())


def raise_file_limit() -> None:
    """Raise the limit of open files to what the system allows; the usual 1024 is for `select`."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # not on Windows

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def return_freed_memory() -> None:
    """Let the C library return large blocks to the system as soon as they are freed; works only with glibc.

    By itself, glibc stops that for blocks as large as the first that was freed, up to 32 MB. Bodies then
    share a heap with what lives for long, and it stays as large as all bodies were at the busiest moment.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            for option, value in ALLOCATOR.items():
                mallopt(option, value)


def count_spare_files() -> float:
    """The connections that may be open while the rest of the process keeps the files that it needs."""
    try:
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    except (ImportError, OSError):
        return math.inf
    return math.inf if soft == resource.RLIM_INFINITY else max(1, soft - RESERVE)


def choose_family(host: str) -> socket.AddressFamily:
    """IPv6 for an IPv6 address, else IPv4."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def check_host(host: str) -> None:
    """Raises InvalidSetting where no port of the host can be listened on."""
    try:
        socket.create_server((host, 0), family=choose_family(host)).close()
    except (OSError, UnicodeError) as error:
        raise InvalidSetting(
            f"BLITZ_HOST={host}: this machine has no such address; 0.0.0.0 is all that it has"
        ) from error
