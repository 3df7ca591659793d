"""The load test: how many requests a server answers, how fast, and how close that is to the machine's limit.

`commands` reads the command line and runs it, `generators` make the load, `measurement` counts and times it,
`reports` print it; everything but `types` may change without a look elsewhere in the project.
"""

import service.process.libraries  # noqa: F401  # sets how numpy, gRPC and ONNX Runtime behave
