"""The HTTP API: REST, live streams over WebSocket, the Open Inference Protocol, and the web pages.

Paths, formats and limits of HTTP may change here alone; results come from `service.serving.engine`.
"""
