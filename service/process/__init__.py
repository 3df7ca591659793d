"""The process around the service: server, workers, ports, signals, health check.

A change here never changes an answer.
"""
