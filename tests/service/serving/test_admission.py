"""Slots, queue, deadlines, cancellation and drain; threads are held by events, never by sleeps."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.compute.task import Listener, Task, Turn
from service.errors import DeadlineExceeded, NotReady, Overloaded
from service.serving.admission import Admission
from tests.running import PATIENCE_S


class Held:
    """Work that says when it has begun and goes on when it is let."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.let = threading.Event()

    def __call__(self, turn: Turn) -> str:
        self.begun.set()
        assert self.let.wait(PATIENCE_S)
        return "done"

    async def begins(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, PATIENCE_S)


@pytest.fixture
async def admission() -> AsyncIterator[Admission]:
    """One slot, two places in the queue."""
    admission = Admission(1, 2)
    yield admission
    admission.close()


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_work_runs_on_a_thread_and_gives_its_result(admission: Admission) -> None:
    name = await admission.run(lambda turn: threading.current_thread().name)
    assert name.startswith("slot")


async def test_an_error_of_the_work_reaches_the_caller_and_frees_the_slot(admission: Admission) -> None:
    def fail(turn: Turn) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await admission.run(fail)
    assert await admission.run(lambda turn: 1) == 1
    await settle()
    assert (admission.running, admission.waiting) == (0, 0)


async def test_beyond_slots_and_queue_a_request_is_refused_at_once(admission: Admission) -> None:
    held = Held()
    tasks = [asyncio.create_task(admission.run(held)) for _ in range(3)]
    await held.begins()
    await settle()
    assert (admission.running, admission.waiting) == (1, 2)
    with pytest.raises(Overloaded, match="1 slots are busy and 2 requests wait"):
        admission.check()
    with pytest.raises(Overloaded):
        await admission.run(held)
    held.let.set()
    assert await asyncio.gather(*tasks) == ["done"] * 3


async def test_without_a_queue_only_the_slots_are_there() -> None:
    admission, held = Admission(2, 0), Held()
    tasks = [asyncio.create_task(admission.run(held)) for _ in range(2)]
    await held.begins()
    await settle()
    with pytest.raises(Overloaded):
        await admission.run(held)
    held.let.set()
    await asyncio.gather(*tasks)
    admission.close()


async def test_who_came_first_is_served_first(admission: Admission) -> None:
    held, order = Held(), list[int]()
    first = asyncio.create_task(admission.run(held))
    await held.begins()
    rest = []
    for note in (lambda turn: order.append(0), lambda turn: order.append(1)):
        rest.append(asyncio.create_task(admission.run(note)))
        await settle()
    held.let.set()
    await asyncio.gather(first, *rest)
    assert order == [0, 1]


async def test_work_is_told_how_long_it_waited(admission: Admission) -> None:
    held = Held()
    first = asyncio.create_task(admission.run(held))
    await held.begins()
    second = asyncio.create_task(admission.run(lambda turn: turn.waited_s))
    await settle()
    before = asyncio.get_running_loop().time()
    await asyncio.sleep(0.02)
    held.let.set()
    await first
    assert 0.02 <= await second <= asyncio.get_running_loop().time() - before + 1
    assert await admission.run(lambda turn: turn.waited_s) < 0.02


async def test_a_deadline_that_has_passed_costs_nothing(admission: Admission) -> None:
    ran = list[Turn]()
    with pytest.raises(DeadlineExceeded):
        await admission.run(ran.append, deadline=asyncio.get_running_loop().time())
    assert not ran


async def test_what_waits_past_its_deadline_is_dropped_before_it_begins(admission: Admission) -> None:
    held, ran = Held(), list[Turn]()
    first = asyncio.create_task(admission.run(held))
    await held.begins()
    with pytest.raises(DeadlineExceeded, match="while the request waited"):
        await admission.run(ran.append, deadline=asyncio.get_running_loop().time() + 0.01)
    assert admission.waiting == 0
    held.let.set()
    await first
    assert not ran


async def test_work_that_has_begun_is_finished_past_its_deadline(admission: Admission) -> None:
    held = Held()
    task = asyncio.create_task(admission.run(held, deadline=asyncio.get_running_loop().time() + 0.2))
    await held.begins()
    await asyncio.sleep(0.25)
    held.let.set()
    assert await task == "done"


async def test_a_cancelled_caller_leaves_the_queue(admission: Admission) -> None:
    held, ran = Held(), list[Turn]()
    first = asyncio.create_task(admission.run(held))
    await held.begins()
    waiting = asyncio.create_task(admission.run(ran.append))
    await settle()
    waiting.cancel()
    await settle()
    assert admission.waiting == 0
    held.let.set()
    await first
    assert not ran


async def test_a_slot_is_free_only_when_its_thread_is(admission: Admission) -> None:
    held = Held()
    task = asyncio.create_task(admission.run(held))
    await held.begins()
    task.cancel()
    await settle()
    assert task.cancelled()
    assert admission.running == 1
    held.let.set()
    assert await admission.run(lambda turn: "next") == "next"


async def test_a_slot_given_to_a_caller_that_leaves_goes_to_the_next(admission: Admission) -> None:
    held, ran = Held(), list[Turn]()
    first = asyncio.create_task(admission.run(held))
    await held.begins()
    leaving = asyncio.create_task(admission.run(ran.append))  # handed to the slot ahead of time
    next_one = asyncio.create_task(admission.run(lambda turn: "next"))
    await settle()
    leaving.cancel()
    await settle()
    held.let.set()
    await first
    assert await next_one == "next"
    assert leaving.cancelled()
    assert not ran
    assert (admission.running, admission.waiting) == (0, 0)


@pytest.mark.parametrize(("slots", "roomy"), [(1, 1), (2, 1), (3, 1), (4, 2), (16, 8)])
async def test_it_is_crowded_from_half_the_slots_on(slots: int, roomy: int) -> None:
    admission, let, crowded = Admission(slots, 0), threading.Event(), []

    def note(turn: Turn) -> None:
        crowded.append(turn.crowded)
        assert let.wait(PATIENCE_S)

    for count in range(1, slots + 1):
        admission.queue(lambda: note)
        while len(crowded) < count:
            await asyncio.sleep(0.001)
    let.set()
    await admission.drain()
    assert crowded == [False] * roomy + [True] * (slots - roomy)
    admission.close()


async def test_a_task_that_comes_back_begins_again_before_those_that_wait() -> None:
    executor = FakeExecutor()
    admission = Admission(1, 5, executor=executor)
    waiting = [asyncio.create_task(admission.run(lambda turn, n=n: n)) for n in range(3)]
    await settle()
    first = executor.taken.pop()
    executor.listener.returned(first)
    assert executor.taken == [first]
    while executor.taken:
        executor.finish(executor.taken.pop())
    assert await asyncio.gather(*waiting) == [0, 1, 2]


class FakeExecutor:
    """One slot that a test controls."""

    def __init__(self) -> None:
        self.taken: list[Task[Any]] = []
        self.listener: Listener

    busy = property(lambda self: len(self.taken))
    ahead = (0, 0)

    def listen(self, listener: Listener) -> None:
        self.listener = listener

    def has_room(self, *, ahead: bool) -> bool:
        return not self.taken

    def take(self, task: Task[Any]) -> None:
        task.begun = True
        self.taken.append(task)

    def finish(self, task: Task[Any]) -> None:
        task.succeed(task.work(Turn(crowded=False, waited_s=0)))
        self.listener.finished(0.01)

    def close(self) -> None:
        pass


async def test_drain_takes_nothing_new_and_waits_for_all_that_was_taken(admission: Admission) -> None:
    held = Held()
    taken = [asyncio.create_task(admission.run(held)) for _ in range(2)]
    await held.begins()
    await settle()
    draining = asyncio.create_task(admission.drain())
    await settle()
    assert not draining.done()
    with pytest.raises(NotReady, match="stopping"):
        admission.check()
    held.let.set()
    await draining
    assert await asyncio.gather(*taken) == ["done", "done"]


async def test_drain_of_an_idle_service_returns_at_once(admission: Admission) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await admission.drain()


async def test_many_callers_with_random_fates_leave_nothing_behind() -> None:
    admission = Admission(3, 1000)
    loop = asyncio.get_running_loop()
    done = list[int]()

    async def ask(number: int) -> None:
        deadline = loop.time() + 0.0005 * (number % 7) if number % 3 == 0 else None
        await admission.run(lambda turn: done.append(number), deadline=deadline)

    tasks = [asyncio.create_task(ask(number)) for number in range(300)]
    await settle()
    for task in tasks[1::5]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await admission.drain()
    assert (admission.running, admission.waiting) == (0, 0)
    assert {number for number in range(300) if number % 3 and number % 5 != 1} <= set(done)
    assert len(done) == len(set(done))
    admission.close()


async def test_a_queue_that_would_last_too_long_is_full_before_its_places_are() -> None:
    admission = Admission(1, 100, longest_wait=0.05)
    for _ in range(20):  # at a pace of about 20 ms
        await admission.run(lambda turn: time.sleep(0.02))
    held = Held()
    running = [asyncio.create_task(admission.run(held))]
    await held.begins()
    while admission.expected_wait <= admission.longest_wait:
        running.append(asyncio.create_task(admission.run(lambda turn: "waited")))
        await settle()
    assert 2 <= admission.waiting <= 10
    with pytest.raises(Overloaded):
        await admission.run(lambda turn: "refused")
    held.let.set()
    assert await asyncio.gather(*running)
    admission.close()


async def test_a_long_history_refuses_nobody_when_a_slot_is_free() -> None:
    admission = Admission(1, 100, longest_wait=0.001)
    await admission.run(lambda turn: time.sleep(0.05))
    assert await admission.run(lambda turn: "taken") == "taken"
    admission.close()
