"""Messages between the front and a compute process."""

import os
import pickle
import socket
from dataclasses import dataclass

import pytest

from service.compute.worker import Outcome, Reader, pack, receive
from service.errors import InvalidImage


class Runs:
    """A pickle that runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


@dataclass(frozen=True)
class Foreign:
    """A class of another package."""


def read_all(*chunks: bytes) -> list[object]:
    """The messages that a reader makes of the chunks."""
    messages = list[object]()
    reader = Reader(messages.append)
    for chunk in chunks:
        reader.data_received(chunk)
    return messages


def test_messages_arrive_whole_however_their_bytes_do() -> None:
    outcomes = [Outcome(b"x" * size, None, 0.5) for size in (0, 1, 70_000)]
    content = b"".join(map(pack, outcomes))
    assert read_all(content) == outcomes
    assert read_all(*(content[at : at + 1000] for at in range(0, len(content), 1000))) == outcomes
    assert read_all(*(bytes([byte]) for byte in content[:200])) == outcomes[:2]


def test_errors_of_the_service_arrive_as_themselves() -> None:
    (outcome,) = read_all(pack(Outcome(None, InvalidImage("no image"), 0)))
    assert isinstance(outcome, Outcome)
    assert isinstance(outcome.error, InvalidImage)
    assert str(outcome.error) == "no image"


@pytest.mark.parametrize("hostile", [Runs(), Foreign(), os.system])
def test_the_front_unpickles_nothing_but_results(hostile: object) -> None:
    with pytest.raises(pickle.UnpicklingError, match="no part of a result"):
        read_all(pack(Outcome(hostile, None, 0)))


def test_a_compute_process_reads_large_orders_and_the_end() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.sendall(pack("order"))
            assert pickle.loads(receive(theirs) or b"") == "order"
        assert receive(theirs) is None
