"""Access to the service: API keys, callers, rate limits, TLS.

Both transports ask here before they read a request. A change to a rule needs no change in a transport.
"""
