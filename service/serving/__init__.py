"""Many requests: the engine that both transports hold, admission, the model repository, streams, tracking.

It knows inference and telemetry, and no transport.
"""
