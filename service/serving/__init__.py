"""Answers many requests: the engine that both transports hold, admission, repository, streams, tracking.

It knows inference, compute and telemetry, and no transport: change it without looking at those.
"""
