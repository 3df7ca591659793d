"""Training, evaluation and export of networks. May import service, never the reverse."""

import os

# ONNX Runtime would send usage data to its vendor otherwise; it reads the variable when it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
