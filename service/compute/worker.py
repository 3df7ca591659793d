"""The loop of a compute process: one order after the other, each answered with a result or an error."""

import os
import pickle
import socket
import time
import traceback
from dataclasses import dataclass
from typing import Any

from service.compute.task import Turn, Work
from service.compute.wire import pack, receive
from service.errors import BlitzError, DeadlineExceeded

OUT_OF_MEMORY = 71  # exit status


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
    while (message := receive(connection)) is not None:
        connection.sendall(_pack_outcome(_carry_out(message)))


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
