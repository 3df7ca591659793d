"""Sessions on the slots they share with requests; threads are held by events, never by sleeps."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from service.compute.task import Turn, Work
from service.errors import NotReady, Overloaded
from service.serving.admission import Admission
from service.serving.streaming import Frame, FrameResult, Picture, StreamOptions, StreamSession
from service.types import BackendInfo, Segmentation, Size
from tests.running import PATIENCE_S

FOUND = Segmentation(Size(1, 1), (), "toy", "1", BackendInfo("onnx", "1", "fp32", 1, (), ()))


@pytest.fixture
async def admission() -> AsyncIterator[Admission]:
    """One slot, and one place in the queue."""
    admission = Admission(1, 1)
    yield admission
    admission.close()


class Hold:
    """Keeps the only slot busy until it is let go."""

    def __init__(self) -> None:
        self._begun, self._let = threading.Event(), threading.Event()

    def __call__(self, turn: Turn) -> None:
        self._begun.set()
        assert self._let.wait(PATIENCE_S)

    async def begins(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, PATIENCE_S)

    def let_go(self) -> None:
        self._let.set()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_queued_works_on_the_thread_of_a_slot(admission: Admission) -> None:
    name = await admission.queue(lambda: lambda turn: threading.current_thread().name)
    assert name.startswith("slot")
    await admission.run(lambda turn: None)
    await settle()
    assert admission.running == 0


@pytest.mark.parametrize("place", ["begin", "work"])
async def test_an_error_of_what_is_queued_reaches_who_waits_and_frees_the_slot(
    admission: Admission, place: str
) -> None:
    def fail(*turn: Turn) -> Work[None]:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await admission.queue(fail if place == "begin" else lambda: fail)
    await admission.run(lambda turn: None)
    await settle()
    assert admission.running == 0


async def test_frames_and_requests_are_served_in_the_order_in_which_they_came(admission: Admission) -> None:
    hold, order = Hold(), list[str]()
    first = asyncio.create_task(admission.run(hold))
    await hold.begins()
    before = admission.queue(lambda: lambda turn: order.append("a"))
    request = asyncio.create_task(admission.run(lambda turn: order.append("b")))
    await settle()
    after = admission.queue(lambda: lambda turn: order.append("c"))
    hold.let_go()
    await asyncio.gather(first, before, request, after)
    assert order == ["a", "b", "c"]


async def test_frames_take_no_place_in_the_queue(admission: Admission) -> None:
    hold = Hold()
    tasks = [asyncio.create_task(admission.run(hold))]
    await hold.begins()
    frames = [admission.queue(lambda: lambda turn: None) for _ in range(3)]
    assert (admission.waiting, admission.waiting_frames) == (0, 3)
    tasks.append(asyncio.create_task(admission.run(lambda turn: None)))
    await settle()
    with pytest.raises(Overloaded):
        admission.check()
    for frame in frames[1:]:
        frame.cancel()
    await settle()
    assert admission.waiting_frames == 1
    hold.let_go()
    await asyncio.gather(frames[0], *tasks)


async def test_a_frame_goes_ahead_of_its_time_only_where_many_wait(admission: Admission) -> None:
    hold, planned = Hold(), list[int]()
    first = asyncio.create_task(admission.run(hold))
    await hold.begins()

    def queue(number: int) -> asyncio.Future[None]:
        def plan() -> Work[None]:
            planned.append(number)
            return lambda turn: None

        return admission.queue(plan)

    frames = [queue(0)]
    assert planned == []
    frames += [queue(1)]
    assert planned == [0]
    frames += [queue(number) for number in (2, 3)]
    assert planned == [0]
    hold.let_go()
    await asyncio.gather(first, *frames)
    assert planned == [0, 1, 2, 3]


async def test_a_frame_that_is_cancelled_in_time_is_not_begun(admission: Admission) -> None:
    hold, begun = Hold(), list[str]()
    first = asyncio.create_task(admission.run(hold))
    await hold.begins()
    leaving = admission.queue(lambda: lambda turn: begun.append("never"))
    leaving.cancel()  # and the slot is free before the loop can tell the queue
    hold.let_go()
    await first
    await admission.run(lambda turn: None)
    await settle()
    assert not begun
    assert (admission.running, admission.waiting, admission.waiting_frames) == (0, 0, 0)


async def test_nothing_can_be_queued_once_the_service_stops(admission: Admission) -> None:
    await admission.drain()
    with pytest.raises(NotReady):
        admission.queue(lambda: lambda turn: None)


async def run_stream(
    admission: Admission, count: int, segment: Callable[[Picture], Segmentation]
) -> list[int]:
    """The ids of the frames answered."""
    answered = list[int]()

    frames = iter([Frame(number, None, b"") for number in range(count)])

    async def read() -> Frame | None:
        return next(frames, None)

    async def send(result: FrameResult) -> None:
        answered.append(result.id)

    def plan(frame: Frame) -> Work[Segmentation]:
        return lambda turn: segment(frame.picture)

    await StreamSession(plan, admission, options=StreamOptions(policy="all")).run(read, send)
    return answered


async def test_many_streams_and_requests_share_real_threads_and_leave_nothing_behind() -> None:
    admission = Admission(2, 100)
    streams = [asyncio.create_task(run_stream(admission, 50, lambda picture: FOUND)) for _ in range(8)]
    requests = [asyncio.create_task(admission.run(lambda turn: None)) for _ in range(50)]
    assert await asyncio.gather(*streams) == [list(range(50))] * 8
    await asyncio.gather(*requests)
    await admission.drain()
    assert (admission.running, admission.waiting) == (0, 0)
    admission.close()


async def test_a_session_that_is_cancelled_gives_its_slot_back_when_its_thread_is_done(
    admission: Admission,
) -> None:
    hold = Hold()

    def segment(picture: Picture) -> Segmentation:
        hold(Turn(crowded=False, waited_s=0))
        return FOUND

    stream = asyncio.create_task(run_stream(admission, 3, segment))
    await hold.begins()
    stream.cancel()
    await asyncio.wait([stream])
    assert admission.running == 1
    hold.let_go()
    await admission.run(lambda turn: None)
    await settle()
    assert admission.running == 0
