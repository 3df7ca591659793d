"""Training, evaluation and export of networks. May import service, never the reverse."""

import service.process.libraries  # noqa: F401  # sets how numpy, gRPC and ONNX Runtime behave
