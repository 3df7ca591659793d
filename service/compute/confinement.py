"""Keeps a compute process from outliving its parent, filling the memory, writing files, using the network."""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446  # system calls, the same on every processor
LANDLOCK_VERSION = 1  # the flag that asks for the version only
# by version of Landlock: to execute, write, make or remove files; to rename and link; to truncate
FILE_RIGHTS = {1: 0b1_1111_1111_0011, 2: 1 << 13, 3: 1 << 14}
TCP_RIGHTS = 0b11  # to bind and to connect; since version 4
MOST_DESCRIPTORS = 1 << 16
OOM_SCORE = 500  # where memory ends, the kernel takes a compute process, which is replaced


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("tcp", ctypes.c_uint64))


def confine(keep: int, *, parent: int, memory_mb: int) -> None:
    """Confine this process for good; `keep` is the only descriptor that stays besides the standard ones.

    Leaves out what this kernel does not offer. Exits where the parent has ended already.
    """
    os.closerange(3, keep)
    os.closerange(keep + 1, MOST_DESCRIPTORS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_mb:
        limit = memory_mb * 1_000_000
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)
        _forbid_files_and_network(libc)


def _forbid_files_and_network(libc: ctypes.CDLL) -> None:
    """Forbid both with Landlock; reading files stays possible, since models are files."""
    create = LANDLOCK_CREATE_RULESET
    version = libc.syscall(create, None, ctypes.c_size_t(0), ctypes.c_uint32(LANDLOCK_VERSION))
    if version < 1:
        return
    rights = sum(bits for since, bits in FILE_RIGHTS.items() if since <= version)
    rules = _Ruleset(rights, TCP_RIGHTS if version >= 4 else 0)
    size = ctypes.c_size_t(ctypes.sizeof(rules) if version >= 4 else 8)
    ruleset = libc.syscall(create, ctypes.byref(rules), size, ctypes.c_uint32(0))
    if ruleset < 0:
        return
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.syscall(LANDLOCK_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    os.close(ruleset)
