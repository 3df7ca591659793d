"""How many files, and so how many connections, this process may have open."""

import contextlib
import math

RESERVE = 256  # for models, logs, libraries and gRPC's connections


def raise_limit() -> None:
    """Take as many as the system allows; the usual limit of 1024 is for programs that use `select`."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # not on Windows

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def spare_descriptors() -> float:
    """How many connections may be open without taking what the rest of the process needs."""
    try:
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    except (ImportError, OSError):
        return math.inf
    return math.inf if soft == resource.RLIM_INFINITY else max(1, soft - RESERVE)
