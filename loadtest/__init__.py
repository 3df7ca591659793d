"""The load test: how much a server answers, how fast, and how near that is to what the machine can do."""

import service.process.libraries  # noqa: F401  # sets how numpy, gRPC and ONNX Runtime behave
