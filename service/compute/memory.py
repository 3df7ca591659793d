"""Memory that a process has freed and still holds."""

import ctypes
import sys


def release_memory() -> None:
    """Give freed memory back to the system; does so only with glibc.

    The C library keeps the memory of a closed model in pieces that are too small for the next one: without
    this, a process holds 340 MB instead of 180 after 50 reloads of the default model.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
