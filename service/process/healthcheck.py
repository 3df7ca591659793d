"""`python -m service.process.healthcheck [PORT]`: exit status 0 when the service of this machine is ready.

For containers, every few seconds: it imports nothing of the service, so that it costs next to nothing.
"""

import contextlib
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ssl import CERT_NONE, PROTOCOL_TLS_CLIENT, SSLContext, SSLError

PORT = 8000
PATIENCE_S = 2.0


def is_ready(port: int) -> bool:
    """Whether the service says so, with or without TLS.

    Where it wants a certificate of its clients this one has none, and that it hangs up has to do.
    """
    with contextlib.suppress(OSError, HTTPException):
        return _ask(HTTPConnection("localhost", port, timeout=PATIENCE_S))
    trusting = SSLContext(PROTOCOL_TLS_CLIENT)  # it is this machine, and nothing is told
    trusting.check_hostname, trusting.verify_mode = False, CERT_NONE
    secure = HTTPSConnection("localhost", port, timeout=PATIENCE_S, context=trusting)
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
    sys.exit(not is_ready(int(sys.argv[1]) if len(sys.argv) > 1 else PORT))
