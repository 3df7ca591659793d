"""The service describes its own work: request log, metrics, traces, log output.

A change here never changes an answer.
"""
