import asyncio
import os
import socket
import subprocess
import sys
import time

from loadtest.measurement.host_stats import HostMonitor, find_servers, measure_use


async def test_a_busy_generator_is_seen_and_runs_late() -> None:
    monitor = HostMonitor(())
    async with monitor.watching():
        until = time.perf_counter() + 0.6
        while time.perf_counter() < until:
            busy_until = time.perf_counter() + 0.1
            while time.perf_counter() < busy_until:
                pass
            await asyncio.sleep(0)
    found = monitor.sum_up()
    assert found.generator > 0.01  # of a core, however many others want it
    assert found.late_p99_ms > 30
    assert (found.server, found.others, found.server_mb) == (None, None, None)


async def test_the_time_between_two_blocks_does_not_count() -> None:
    monitor = HostMonitor(())
    started = time.perf_counter()
    for _ in range(2):
        async with monitor.watching():
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.3)
    assert 0.2 <= monitor.sum_up().seconds <= time.perf_counter() - started - 0.6


async def test_the_servers_cores_are_told_from_the_others() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as server:
        monitor = HostMonitor((server.pid,))
        async with monitor.watching():
            await asyncio.sleep(1)
        found = monitor.sum_up()
        server.kill()
    assert found.server is not None
    assert found.others is not None
    assert found.server > 0
    assert found.others < (os.cpu_count() or 1)
    assert found.server_mb is not None
    assert found.server_mb > 1


LISTENER = (
    "import socket; s = socket.create_server(('127.0.0.1', 0));"
    "b = b'x' * 50_000_000; print(s.getsockname()[1], flush=True); input()"
)
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {LISTENER!r}])"


def test_all_processes_of_a_server_count_whichever_of_them_listens() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        port = int(server.stdout.readline())
        try:
            found = find_servers(port)
            use = measure_use(found)
        finally:
            server.stdin.close()  # which ends the listener, and then its parent
    assert found == (server.pid,)
    assert use is not None
    assert use.memory_mb > 50
    assert use.descriptors > 3
    assert use.cpu_seconds >= 0


def test_a_port_without_listener_has_no_processes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert find_servers(port) == (os.getpid(),)
    assert find_servers(port) == ()


def test_processes_that_are_gone_use_nothing() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert measure_use((gone.pid,)) is None
    assert measure_use(()) is None
