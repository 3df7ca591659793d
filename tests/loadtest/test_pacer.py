import asyncio
import time

from loadtest.pacer import Pacer


async def test_times_are_handed_out_in_order_when_they_are_due() -> None:
    handed: list[tuple[float, float]] = []
    start = time.perf_counter()
    due = [start + step * 0.02 for step in range(20)]
    pacer = Pacer(due, lambda time_due: handed.append((time_due, time.perf_counter())))
    pacer.start()
    await asyncio.wait_for(pacer.done.wait(), 5)
    pacer.stop()

    assert [time_due for time_due, _ in handed] == due
    late = sorted(now - time_due for time_due, now in handed)
    assert late[0] >= -0.001
    assert late[len(late) // 2] < 0.01


async def test_a_pacer_that_is_behind_hands_out_everything_at_once() -> None:
    handed: list[float] = []
    start = time.perf_counter() - 10
    pacer = Pacer([start + step for step in range(5)], handed.append)
    pacer.start()
    await asyncio.wait_for(pacer.done.wait(), 1)
    pacer.stop()
    assert len(handed) == 5


async def test_a_stopped_pacer_hands_out_no_more() -> None:
    handed: list[float] = []
    start = time.perf_counter()
    pacer = Pacer([start, start + 60], handed.append)
    pacer.start()
    await asyncio.sleep(0.05)
    pacer.stop()
    await asyncio.wait_for(pacer.done.wait(), 1)
    assert handed == [start]
    assert time.perf_counter() - start < 5
