"""HTTP as bytes, to send requests that no client library would send."""

import http.client
import socket
from dataclasses import dataclass

PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A response; status 0 where the server only hung up."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """One connection after the other to one server, kept alive as long as both sides like."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def ask(self, request: bytes, *, ends: bool = False) -> Reply:
        """The response to these bytes; `ends`: nothing follows, and the connection is a new one.

        Raises TimeoutError where the server neither answers nor hangs up.
        """
        if ends:
            self.close()
        fresh = self._socket is None
        try:
            return self._exchange(request, ends=ends)
        except (ConnectionError, http.client.HTTPException):
            self.close()
            if fresh:
                return Reply(0, {}, b"")
            return self.ask(request, ends=ends)  # the kept connection was closed meanwhile

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, request: bytes, *, ends: bool) -> Reply:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE_S)
        try:
            self._socket.sendall(request)
            if ends:
                self._socket.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass  # it has answered before it had read all
        method = request.partition(b" ")[0].decode("latin-1")
        with http.client.HTTPResponse(self._socket, method=method) as response:
            response.begin()
            body = response.read()
            reply = Reply(response.status, {key.lower(): value for key, value in response.getheaders()}, body)
            if response.will_close:
                self.close()
        return reply
