"""The process around the service: its start, its workers, its limits, its signals, its health check.

A change here changes how the service runs, and never an answer.
"""
