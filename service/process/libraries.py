"""Sets how the libraries under the service behave, for this process and the processes that it starts.

Every entry point imports this module before it imports numpy, gRPC or ONNX Runtime, which read these
variables when they are loaded. The package `service` itself sets nothing, so that a program may use the
client and stay as it is.
"""

import os

# Images already use every core, so a second thread for one small matrix product has to wait for its turn: on
# two busy cores that takes 27 ms (median) instead of 0.25 ms.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Otherwise gRPC's core writes a line for every handshake that fails, and a port scan makes many of them.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
# Otherwise ONNX Runtime sends usage data to its vendor, and writes an identity into the home folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
