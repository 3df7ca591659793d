"""`python -m service.process.healthcheck [PORT [HOST]]`: exit status 0 when the service is ready.

Unset: BLITZ_HTTP_PORT and BLITZ_HOST, as the service reads them. A container runs it every few seconds, so it
imports no other module of the service and starts fast.
"""

import contextlib
import os
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ssl import CERT_NONE, PROTOCOL_TLS_CLIENT, SSLContext, SSLError

PORT = 8000
PATIENCE_S = 2.0
ANY = {"": "localhost", "0.0.0.0": "127.0.0.1", "::": "::1"}  # addresses to listen on, not to connect to


def is_ready(port: int, host: str = "") -> bool:
    """Whether the service is ready, with or without TLS; `host` is the address that it listens on.

    Where the service asks its clients for a certificate, this client has none: then it is enough that the
    service refuses it.
    """
    host = ANY.get(host, host)
    with contextlib.suppress(OSError, HTTPException):
        return _ask(HTTPConnection(host, port, timeout=PATIENCE_S))
    trusting = SSLContext(PROTOCOL_TLS_CLIENT)  # it asks its own machine, and sends no secret
    trusting.check_hostname, trusting.verify_mode = False, CERT_NONE
    secure = HTTPSConnection(host, port, timeout=PATIENCE_S, context=trusting)
    try:
        secure.connect()
    except OSError:
        return False
    try:
        return _ask(secure)
    except (SSLError, ConnectionError):
        return True


def _ask(connection: HTTPConnection) -> bool:
    with contextlib.closing(connection):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200


if __name__ == "__main__":
    port, host, *_ = (*sys.argv[1:], "", "")
    port, host = port or os.environ.get("BLITZ_HTTP_PORT", ""), host or os.environ.get("BLITZ_HOST", "")
    sys.exit(not is_ready(int(port or PORT), host))
