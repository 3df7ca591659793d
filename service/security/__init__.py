"""Who may call, and with which certificate: keys, callers, rate limits, TLS.

Both transports ask here before they read a request.
"""
