"""Sets how the libraries under the service behave, for this process and the processes that it starts.

Every entry point imports this module before it imports numpy, gRPC or ONNX Runtime, which read these
variables when they are loaded. The package `service` itself sets nothing, so that a program may use the
client and stay as it is.
"""

import os
import sys
from pathlib import Path

# Images already use every core, so a second thread for one small matrix product has to wait for its turn: on
# two busy cores that takes 27 ms (median) instead of 0.25 ms.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Otherwise gRPC's core writes a line for every handshake that fails, and a port scan makes many of them.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
# Otherwise ONNX Runtime sends usage data to its vendor, and writes an identity into the home folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def _open_standard_streams() -> None:
    """Open those of the three standard streams that were closed when the process began, on the null device.

    Otherwise the next socket gets the number of one of them, and with it all that libraries print.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)  # a process that is started would find it closed again
    os.close(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115  # for as long as the process lives


_open_standard_streams()


def import_structlog() -> None:
    """Import structlog without rich, for a process that has imported neither and must start fast.

    structlog imports rich for coloured tracebacks, where it finds it. The tracebacks here are plain, and rich
    takes a third of the time that structlog needs.
    """
    if "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # Python then says that there is no such module
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]
