import asyncio
import os
import subprocess
import sys
import time

from loadtest.surroundings import Watch


async def test_a_busy_generator_is_seen_and_runs_late() -> None:
    watch = Watch(())
    async with watch.watching():
        until = time.perf_counter() + 0.6
        while time.perf_counter() < until:
            busy_until = time.perf_counter() + 0.1
            while time.perf_counter() < busy_until:
                pass
            await asyncio.sleep(0)
    found = watch.sum_up()
    assert found.generator > 0.1  # of a core, however many others want it
    assert found.late_p99_ms > 30
    assert (found.server, found.others, found.server_mb) == (None, None, None)


async def test_an_idle_generator_uses_next_to_nothing() -> None:
    watch = Watch(())
    async with watch.watching():
        await asyncio.sleep(0.5)
    found = watch.sum_up()
    assert found.generator < 0.3
    assert 0.5 <= found.seconds < 2


async def test_what_happens_while_nobody_watches_does_not_count() -> None:
    watch = Watch(())
    for _ in range(2):
        async with watch.watching():
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
    assert 0.2 <= watch.sum_up().seconds < 1


async def test_the_servers_cores_are_told_from_the_others() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as server:
        watch = Watch((server.pid,))
        async with watch.watching():
            await asyncio.sleep(1)
        found = watch.sum_up()
        server.kill()
    assert found.server is not None
    assert found.others is not None
    assert 0.1 < found.server < 1.3
    assert found.others < (os.cpu_count() or 1)
    assert found.server_mb is not None
    assert found.server_mb > 1
