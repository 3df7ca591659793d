"""Records of the service's own work: request log, metrics, traces, log output.

A change here never changes an answer. Nothing here may make a request wait or fail.
"""
