"""The load test: how much a server answers, how fast, and how near that is to what the machine can do."""

import os

# ONNX Runtime would send usage data to its vendor otherwise; it reads the variable when it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
