import os
import socket
import subprocess
import sys

from loadtest.processes import find_listeners, measure_use

CHILD = (
    "import socket, sys, subprocess; s = socket.create_server(('127.0.0.1', 0));"
    "p = subprocess.Popen([sys.executable, '-c', 'b = bytes(50_000_000); input()'], stdin=subprocess.PIPE);"
    "print(s.getsockname()[1], flush=True); input()"
)


def test_the_processes_behind_a_port_are_found_with_their_children() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        try:
            found = find_listeners(port)
            use = measure_use(found)
        finally:
            server.kill()
    assert found == (server.pid,)
    assert use is not None
    assert use.resident_mb > 10
    assert use.descriptors > 3
    assert use.cpu_seconds >= 0


def test_a_port_without_listener_has_no_processes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert find_listeners(port) == (os.getpid(),)
    assert find_listeners(port) == ()


def test_processes_that_are_gone_use_nothing() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert measure_use((gone.pid,)) is None
    assert measure_use(()) is None
