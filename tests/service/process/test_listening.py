"""Listening sockets: newcomers that are ignored, and connections that a parent deals to several fronts."""

import asyncio
import contextlib
import errno
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from selectors import DefaultSelector

import pytest

from service.errors import InvalidSetting
from service.process.listening import Dealer, Seat, accept_all, ignore_newcomers, listen
from tests.running import PATIENCE_S

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these sockets")


@linux_only
def test_a_connection_made_before_is_accepted_and_carries_bytes_after() -> None:
    with listen("127.0.0.1", 0) as listener:
        listener.setblocking(False)
        with socket.create_connection(listener.getsockname()) as client:
            ignore_newcomers(listener)
            client.sendall(b"first")
            (accepted,) = accept_all(listener)
            accepted.settimeout(PATIENCE_S)
            with accepted, socket.socket() as late:
                late.setblocking(False)
                assert late.connect_ex(listener.getsockname()) == errno.EINPROGRESS
                assert accepted.recv(9) == b"first"
                assert list(accept_all(listener)) == []


def test_without_filters_nothing_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.process.listening.SO_ATTACH_FILTER", -1)
    with listen("127.0.0.1", 0) as listener:
        ignore_newcomers(listener)
        with socket.create_connection(listener.getsockname()):
            pass


def test_a_port_that_somebody_has_is_refused_by_its_name() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidSetting, match=f"BLITZ_HTTP_PORT={port}: cannot listen .* in use"):
            listen("127.0.0.1", port)


class Fronts:
    """A dealer with fronts in the running loop; each notes the first byte of its connections."""

    def __init__(self, count: int) -> None:
        self.selector = DefaultSelector()
        self.listener = listen("127.0.0.1", 0)
        self.address: tuple[str, int] = self.listener.getsockname()
        self.dealer = Dealer(self.listener, self.selector)
        self.ends = [self.dealer.make_seat() for _ in range(count)]
        self.seats = [Seat(end) for end in self.ends]
        self.dealt: list[list[bytes]] = [[] for _ in range(count)]
        self.clients: list[socket.socket] = []

    def join(self, number: int) -> None:
        self.seats[number].join(lambda connection: self._note(number, connection))

    def connect(self, name: bytes) -> None:
        client = socket.create_connection(self.address)
        client.sendall(name)
        self.clients.append(client)

    async def work(self, count: int) -> None:
        """Let the dealer work until so many connections have been dealt."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for key, _ in self.selector.select(0):
                    key.data()
                if sum(map(len, self.dealt)) >= count:
                    return
                await asyncio.sleep(0.001)

    def _note(self, number: int, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(PATIENCE_S)
            self.dealt[number].append(connection.recv(1))


@pytest.fixture
async def fronts() -> AsyncIterator[Fronts]:
    """Three fronts, none of which has joined."""
    made = Fronts(3)
    with made.selector, contextlib.ExitStack() as stack:
        yield made
        for each in (*made.clients, *made.ends):
            stack.enter_context(each)
            if each.fileno() >= 0:
                asyncio.get_running_loop().remove_reader(each)
        made.dealer.forget()


@linux_only
async def test_connections_wait_for_a_front_and_are_dealt_in_turn_to_those_that_have_joined(
    fronts: Fronts,
) -> None:
    fronts.connect(b"0")
    await fronts.work(0)
    fronts.join(0)
    await fronts.work(1)
    fronts.join(2)
    await fronts.work(1)
    for name in (b"1", b"2", b"3", b"4"):
        fronts.connect(name)
        await fronts.work(1 + int(name))
    assert sorted(map(len, fronts.dealt)) == [0, 2, 3]
    assert fronts.dealt[1] == []


@linux_only
async def test_a_parent_without_descriptors_accepts_connections_later(
    fronts: Fronts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(listener: socket.socket) -> Iterator[socket.socket]:
        monkeypatch.undo()
        raise OSError(errno.EMFILE, "too many open files")
        yield

    fronts.join(0)
    await fronts.work(0)
    monkeypatch.setattr("service.process.listening.accept_all", fail)
    fronts.connect(b"0")
    await fronts.work(1)
    assert fronts.dealt[0] == [b"0"]


@linux_only
async def test_a_front_that_leaves_gets_nothing_more_and_the_others_go_on(fronts: Fronts) -> None:
    fronts.join(0)
    fronts.join(1)
    fronts.connect(b"0")
    fronts.connect(b"1")
    await fronts.work(2)
    leaving = asyncio.create_task(fronts.seats[0].leave())
    while not leaving.done():
        await fronts.work(0)
        await asyncio.sleep(0.001)
    fronts.connect(b"2")
    fronts.connect(b"3")
    await fronts.work(4)
    assert [len(each) for each in fronts.dealt] == [1, 3, 0]


@linux_only
async def test_the_last_front_gets_what_the_kernel_has_accepted_before_the_listener_closes(
    fronts: Fronts,
) -> None:
    fronts.join(0)
    await fronts.work(0)
    fronts.dealer.stop()
    fronts.connect(b"a")
    leaving = asyncio.create_task(fronts.seats[0].leave())
    while not leaving.done():
        await fronts.work(0)
        await asyncio.sleep(0.001)
    assert fronts.dealt[0] == [b"a"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(fronts.address)
    fronts.join(1)  # too late, and harmless
    await fronts.work(0)


@linux_only
async def test_a_stop_before_any_front_has_joined_closes_the_listener(fronts: Fronts) -> None:
    fronts.dealer.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(fronts.address)
