"""The socket that takes connections: how it opens, and how it closes without resetting anybody."""

import contextlib
import ctypes
import socket
import struct
import sys
from collections.abc import Iterator

from service.errors import InvalidSetting
from service.process.limits import choose_family

SO_ATTACH_FILTER = 26  # Linux; Python has no name for it
# A classic BPF program, as (code, jump if true, jump if false, operand): flags & SYN, drop, else take all.
NO_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


def listen(host: str, port: int, *, shared: bool) -> socket.socket:
    """Listen, on a port shared with other processes or not; raises InvalidSetting where that cannot be."""
    family = choose_family(host)
    try:
        return socket.create_server((host, port), family=family, backlog=2048, reuse_port=shared)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidSetting(
            f"BLITZ_HTTP_PORT={port}: cannot listen on {host} port {port}: {reason.lower()}"
        ) from error


def ignore_newcomers(listener: socket.socket) -> None:
    """Begin no more handshakes, and finish those that have begun; only Linux can.

    A closed listener resets whoever has connected but was not accepted yet, request and all. Who is ignored
    instead asks again a second later, and is refused then, or taken by another process of the port.
    """
    if sys.platform != "linux":
        return
    steps = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in NO_SYN))
    program = struct.pack("HP", len(NO_SYN), ctypes.addressof(steps))
    with contextlib.suppress(OSError):  # a sandbox may not have it
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def accept_all(listener: socket.socket) -> Iterator[socket.socket]:
    """Connections that wait to be accepted."""
    with contextlib.suppress(BlockingIOError):
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)
            yield connection
