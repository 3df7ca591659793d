"""The limits that the machine sets to this process: cores, open files, and addresses to listen on."""

import contextlib
import math
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from service.errors import InvalidSetting

RESERVE = 256  # descriptors for models, logs, libraries and gRPC's connections
ROOT = Path("/")


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
