"""Memory that is free, and yet counts as ours."""

import ctypes
import sys


def release_memory() -> None:
    """Give freed memory back to the system, where the C library can be asked to (glibc).

    It keeps what a model has left behind, in pieces that the next one does not fit into: after 50 reloads of
    the default model a process holds 340 MB instead of 180.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
