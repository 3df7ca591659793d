"""Listening sockets: opened with a clear error, closed without a lost connection, shared by several fronts.

Several fronts share one port of HTTP: the parent accepts the connections and deals them to the fronts in
turn. With SO_REUSEPORT the kernel chooses by a hash, and one of two fronts may get all connections.
"""

import contextlib
import ctypes
import socket
import struct
import sys
import time
from asyncio import Event, get_running_loop
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from selectors import EVENT_READ, BaseSelector

from service.errors import InvalidSetting
from service.process.limits import choose_family

BACKLOG = 2048
HANDSHAKE_S = 0.1  # for connections whose handshake has begun when the listener closes
SO_ATTACH_FILTER = 26  # Linux; Python has no name for it
# A classic BPF program, as (code, jump if true, jump if false, operand): flags & SYN, drop, else take all.
NO_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
PAUSE_S = 0.05  # before the next try, where a connection cannot be accepted
JOIN, LEAVE, DEAL = b"J", b"L", b"D"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket for HTTP; raises InvalidSetting."""
    try:
        return socket.create_server((host, port), family=choose_family(host), backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidSetting(
            f"BLITZ_HTTP_PORT={port}: cannot listen on {host} port {port}: {reason.lower()}"
        ) from error


def ignore_newcomers(listener: socket.socket) -> None:
    """Drop new handshakes in the kernel, and finish those that have begun; on Linux only.

    A closed listener resets connections that are not accepted yet, with their requests. A client whose
    handshake is dropped repeats it a second later, and then it is refused.
    """
    if sys.platform != "linux":
        return
    steps = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in NO_SYN))
    program = struct.pack("HP", len(NO_SYN), ctypes.addressof(steps))
    with contextlib.suppress(OSError):  # a sandbox may not have it
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def accept_all(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait to be accepted."""
    with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)
            yield connection


class Dealer:
    """The parent's side: it accepts connections and deals them in turn to the fronts that have joined.

    While none has joined, connections wait in the kernel.
    """

    def __init__(self, listener: socket.socket, selector: BaseSelector) -> None:
        """`selector` calls the data of its keys, where their descriptors become readable."""
        listener.setblocking(False)
        self._listener = listener
        self._selector = selector
        self._seats: set[socket.socket] = set()
        self._joined: deque[socket.socket] = deque()  # the next one first
        self._stopping = False

    def make_seat(self) -> socket.socket:
        """The end of a new socket pair that a front gets; a message is one byte, maybe with a descriptor."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._seats.add(ours)
        self._selector.register(ours, EVENT_READ, partial(self._hear, ours))
        return theirs

    def stop(self) -> None:
        """Close the listener once the last front leaves, or now where none is there."""
        self._stopping = True
        if not self._joined:
            self._close()

    def forget(self) -> None:
        """Close all that a forked front must not hold."""
        self._listener.close()
        for seat in self._seats:
            seat.close()

    def _hear(self, seat: socket.socket) -> None:
        try:
            word = seat.recv(1)
        except OSError:
            word = b""
        if word == JOIN:
            self._joined.append(seat)
            if len(self._joined) == 1 and self._is_open:
                self._selector.register(self._listener, EVENT_READ, self._accept)
            return
        self._leave(seat)
        if word == LEAVE:
            if self._stopping and not self._joined:
                self._close(seat)
            seat.shutdown(socket.SHUT_WR)  # it may go, once it has read what it was dealt
        else:
            self._seats.remove(seat)
            self._selector.unregister(seat)
            seat.close()

    def _leave(self, seat: socket.socket) -> None:
        if seat in self._joined:
            self._joined.remove(seat)
            if not self._joined and self._is_open:
                self._selector.unregister(self._listener)

    @property
    def _is_open(self) -> bool:
        return self._listener.fileno() >= 0

    def _accept(self) -> None:
        if not self._joined:  # the last has left in this very round
            return
        try:
            for connection in accept_all(self._listener):
                self._deal(connection)
        except OSError:  # no descriptors or no memory are left: connections wait in the kernel
            time.sleep(PAUSE_S)

    def _deal(self, connection: socket.socket) -> None:
        """Send a connection to the next front that can take it; it ends where none can."""
        with connection:
            for _ in range(len(self._joined)):
                seat = self._joined[0]
                self._joined.rotate(-1)
                if _send(seat, connection):
                    return

    def _close(self, last: socket.socket | None = None) -> None:
        """Close the listener; the connections that it has still accepted go to the last front."""
        if last is not None and self._is_open:
            ignore_newcomers(self._listener)
            time.sleep(HANDSHAKE_S)
            for connection in accept_all(self._listener):
                with connection:
                    _send(last, connection)
        self._listener.close()


def _send(seat: socket.socket, connection: socket.socket) -> bool:
    """Whether the front's queue has taken the connection: it is full where the front hangs."""
    with contextlib.suppress(OSError):
        socket.send_fds(seat, [DEAL], [connection.fileno()])
        return True
    return False


class Seat:
    """A front's side: it gets connections from when it joins until it has left."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._ended = Event()
        self._take: Callable[[socket.socket], None]

    def join(self, take: Callable[[socket.socket], None]) -> None:
        """Give every connection that is dealt to `take`, in the running loop."""
        self._take = take
        self._connection.setblocking(False)
        get_running_loop().add_reader(self._connection, self._read)
        self._connection.send(JOIN)

    async def leave(self) -> None:
        """Ask for no more connections; returns when the last one has come."""
        with contextlib.suppress(OSError):  # the parent has ended
            self._connection.send(LEAVE)
        await self._ended.wait()

    def _read(self) -> None:
        try:
            while True:
                word, descriptors, _, _ = socket.recv_fds(self._connection, 1, 1)
                if not word:
                    break
                for descriptor in descriptors:
                    self._take(socket.socket(fileno=descriptor))
        except BlockingIOError:
            return
        except OSError:
            pass
        get_running_loop().remove_reader(self._connection)
        self._connection.close()
        self._ended.set()
