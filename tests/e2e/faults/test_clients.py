"""Clients that idle, dawdle and hang: nobody else is harmed."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.e2e.serving.conftest import Service
from tests.running import PATIENCE_S

PNG = {"content-type": "image/png"}
IDLE = 1000
QUICK_S = 2.0  # what a request may take on a machine that does other things as well


def count_open(service: Service) -> int:
    return psutil.Process(service.process.pid).num_fds()


@contextlib.contextmanager
def idle_connections(service: Service, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        address = ("127.0.0.1", service.http_port)
        yield [
            stack.enter_context(socket.create_connection(address, timeout=PATIENCE_S)) for _ in range(count)
        ]


def ask(service: Service, image: bytes) -> float:
    """Seconds that a good answer took."""
    began = time.monotonic()
    answer = httpx.post(f"{service.url}/v1/segment", content=image, headers=PNG, timeout=PATIENCE_S)
    assert answer.status_code == 200
    return time.monotonic() - began


def test_a_thousand_idle_connections_cost_nobody_anything(service: Service, rose: bytes) -> None:
    ask(service, rose)
    before, process = count_open(service), psutil.Process(service.process.pid)
    memory = process.memory_info().rss
    with idle_connections(service, IDLE) as connections:
        connections[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connections[-1].recv(12) == b"HTTP/1.1 200"
        assert count_open(service) >= IDLE
        assert min(ask(service, rose) for _ in range(5)) < QUICK_S
        assert process.memory_info().rss - memory < 64 * 2**20
        busy = process.cpu_times()
        time.sleep(0.5)
        idle = process.cpu_times()
        assert idle.user + idle.system - busy.user - busy.system < 0.25
    deadline = time.monotonic() + PATIENCE_S
    while count_open(service) > before + 5:
        assert time.monotonic() < deadline, "connections of clients that are gone stay open"
        time.sleep(0.05)


@pytest.mark.parametrize(
    "head",
    [
        b"",  # dawdles in its header
        b"POST /v1/segment HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 5000\r\n\r\n",
    ],
)
def test_clients_that_send_a_byte_a_second_hold_no_slot(service: Service, rose: bytes, head: bytes) -> None:
    over = threading.Event()
    with idle_connections(service, 50) as slow:
        for connection in slow:
            connection.sendall(head)

        def dawdle() -> None:
            while not over.wait(1):
                for connection in slow:
                    with contextlib.suppress(OSError):
                        connection.sendall(b"P")

        dawdling = threading.Thread(target=dawdle)
        dawdling.start()
        try:
            took = [ask(service, rose) for _ in range(20)]
        finally:
            over.set()
            dawdling.join()
    assert sorted(took)[10] < QUICK_S
    metrics = httpx.get(f"{service.url}/metrics", timeout=PATIENCE_S).text
    assert "\nblitzmask_slots_busy 0.0\n" in metrics
    assert "\nblitzmask_queue_length 0.0\n" in metrics


def test_a_client_that_does_not_read_its_answer_holds_no_slot(service: Service, rose: bytes) -> None:
    """The overlays of a hundred requests stay in the service's hands."""
    head = f"POST /v1/segment HTTP/1.1\r\nHost: x\r\nAccept: image/png\r\nContent-Length: {len(rose)}\r\n\r\n"
    with idle_connections(service, 10) as deaf:
        for connection in deaf:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            connection.sendall((head.encode() + rose) * 10)
        assert sorted(ask(service, rose) for _ in range(10))[5] < QUICK_S
