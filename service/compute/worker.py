"""A compute process: its messages (a length, then a pickle of protocol 5), and its loop over orders.

The front trusts itself, so a compute process unpickles whatever it is sent. A compute process decodes hostile
bytes, so the front unpickles nothing but results: dataclasses and errors of this service.
"""

import asyncio
import builtins
import io
import os
import pickle
import socket
import struct
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any

from service.compute.models import release_memory
from service.compute.task import Turn, Work
from service.errors import BlitzError, DeadlineExceeded

LENGTH = struct.Struct("<Q")


class _Reducers(dict[type, Callable[[Any], tuple[type, tuple[object, ...]]]]):
    """Ways to pickle dataclasses as calls of their classes.

    The way that dataclasses have themselves asks for their fields each time, when they are packed and when
    they are read: 9 us of each of ten objects in an order and its outcome.
    """

    def __missing__(self, kind: type) -> Callable[[Any], tuple[type, tuple[object, ...]]]:
        if not is_dataclass(kind) or not all(field.init for field in fields(kind)):
            raise KeyError(kind)
        names = [field.name for field in fields(kind)]
        self[kind] = lambda message: (kind, tuple([getattr(message, name) for name in names]))
        return self[kind]


class _Packer(pickle.Pickler):
    dispatch_table = _Reducers()


def pack(message: object) -> bytes:
    """The message as bytes, its length first; raises what pickling it raises."""
    with io.BytesIO() as stream:
        stream.write(bytes(LENGTH.size))
        _Packer(stream, protocol=5).dump(message)
        view = stream.getbuffer()
        LENGTH.pack_into(view, 0, len(view) - LENGTH.size)
        del view
        return stream.getvalue()


def receive(connection: socket.socket) -> bytearray | None:
    """The pickle of the next message; None once the other side has closed."""
    head = _receive_exactly(connection, LENGTH.size)
    return None if head is None else _receive_exactly(connection, *LENGTH.unpack(head))


def _receive_exactly(connection: socket.socket, count: int) -> bytearray | None:
    content = bytearray(count)
    view, received = memoryview(content), 0
    while received < count:
        got = connection.recv_into(view[received:])
        if not got:
            return None
        received += got
    return content


class Reader(asyncio.Protocol):
    """Puts the bytes of a connection together to messages, and gives these to `take`."""

    def __init__(self, take: Callable[[object], None]) -> None:
        self._take = take
        self._buffer = bytearray()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (message := self._cut()) is not None:
            self._take(_ResultUnpickler(io.BytesIO(message)).load())

    def _cut(self) -> bytes | None:
        """The pickle of the first message, where all of it is there."""
        if len(self._buffer) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack_from(self._buffer)
        end = LENGTH.size + length
        if len(self._buffer) < end:
            return None
        message = bytes(memoryview(self._buffer)[LENGTH.size : end])
        del self._buffer[:end]
        return message


class _ResultUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        return _find_result(module, name)


@lru_cache(256)
def _find_result(module: str, name: str) -> type:
    """A class that a result may hold; raises UnpicklingError for any other."""
    found: object = None
    if module.split(".")[0] == "service":
        found = pickle.Unpickler(io.BytesIO()).find_class(module, name)
    elif module == "builtins":
        found = getattr(builtins, name, None)
    if isinstance(found, type) and (is_dataclass(found) or issubclass(found, Exception)):
        return found
    raise pickle.UnpicklingError(f"a compute process sent {module}.{name}, which is no part of a result")


OUT_OF_MEMORY = 71  # exit status
LARGE = 4_000_000  # bytes of an order after which freed memory goes back to the system, in some milliseconds


@dataclass(frozen=True, slots=True)
class Order:
    """A work for a compute process; the times are those of the monotonic clock, which all processes share."""

    work: Work[Any]
    crowded: bool
    arrived: float
    deadline: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an order, or the error that it raised, and the seconds of its work."""

    result: object
    error: Exception | None
    seconds: float


def serve_orders(connection: socket.socket) -> None:
    """Answer orders until the other side closes the connection."""
    while _serve_order(connection):
        pass


def _serve_order(connection: socket.socket) -> bool:
    """Answer the next order, and keep nothing of it; whether there was one."""
    message = receive(connection)
    if message is None:
        return False
    size = len(message)
    connection.sendall(_pack_outcome(_carry_out(message)))
    del message
    if size > LARGE:
        release_memory()
    return True


def _carry_out(message: bytearray) -> Outcome:
    began = time.monotonic()
    try:
        order: Order = pickle.loads(message)
        if order.deadline is not None and order.deadline < began:
            raise DeadlineExceeded("the deadline passed while the request waited for a slot")
        result = order.work(Turn(order.crowded, began - order.arrived))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except Exception as error:
        return Outcome(None, _make_portable(error), time.monotonic() - began)
    return Outcome(result, None, time.monotonic() - began)


def _pack_outcome(outcome: Outcome) -> bytes:
    try:
        return pack(outcome)
    except Exception as error:
        return pack(Outcome(None, _make_portable(error), outcome.seconds))


def _make_portable(error: Exception) -> Exception:
    """The error as the front may unpickle it, with its traceback as a note for the log."""
    if isinstance(error, BlitzError):
        return error
    portable = RuntimeError(f"{type(error).__name__}: {error}")
    portable.add_note("".join(traceback.format_exception(error)))
    return portable
