"""nginx and Envoy with the configurations of deploy/, before two services of which one stops or is killed."""

import asyncio
import contextlib
from collections.abc import Callable

import httpx
import psutil
import pytest

from service.camera.source import Retry
from service.camera.stream_client import StreamClient, StreamRequest
from service.client import AsyncRpcClient
from service.serving.streaming import Frame, StreamOptions
from service.serving.streaming.frame import FrameSlot, LoopClock
from service.types import Segmentation
from tests.deploy.conftest import Proxy, StartProxy
from tests.e2e.serving.conftest import Service
from tests.running import PATIENCE_S

CAMERAS = 4
BEFORE, AFTER = 5, 20  # answers that each camera has when a service stops, and that it needs afterwards


class Camera:
    """A camera behind the proxy, for which every frame counts; `answered` are the numbers of its frames."""

    def __init__(self, proxy: Proxy, picture: bytes) -> None:
        clock = LoopClock()
        self.answered: list[int] = []
        self.faults: list[object] = []
        self.enough = asyncio.Event()
        self._slot = FrameSlot("all")
        self._picture = picture
        self._client = StreamClient(
            lambda: AsyncRpcClient(proxy.target),
            StreamRequest(StreamOptions(policy="all")),
            slot=self._slot,
            clock=clock,
            retry=Retry(clock, lambda reason: None),
        )

    async def run(self) -> None:
        """Returns when there are enough answers, and every frame that was sent has one."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feed())
            async with contextlib.aclosing(self._client.results()) as results:
                async for each in results:
                    self.answered.append(each.result.id)
                    if not isinstance(each.result.outcome, Segmentation):
                        self.faults.append(each.result.outcome)

    async def _feed(self) -> None:
        number = 0
        while not self.enough.is_set():
            await self._slot.put(Frame(number, number, self._picture))
            number += 1
        self._slot.end()


def kill(service: Service) -> None:
    """SIGKILL for the service and its compute processes."""
    children = psutil.Process(service.process.pid).children(recursive=True)
    for process in (psutil.Process(service.process.pid), *children):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def stop(service: Service) -> None:
    service.process.terminate()


@pytest.mark.parametrize("end", [stop, kill])
async def test_cameras_go_on_when_one_of_two_services_ends(
    start_proxy: StartProxy, rose: bytes, end: Callable[[Service], None]
) -> None:
    proxy = await asyncio.to_thread(start_proxy)
    cameras = [Camera(proxy, rose) for _ in range(CAMERAS)]
    async with asyncio.TaskGroup() as group:
        for camera in cameras:
            group.create_task(camera.run())
        await wait_for_answers(cameras, BEFORE)
        assert [count_streams(service) for service in proxy.services] == [CAMERAS / 2] * 2
        end(proxy.services[0])
        await asyncio.to_thread(proxy.services[0].process.wait, PATIENCE_S)
        await wait_for_answers(cameras, max(len(camera.answered) for camera in cameras) + AFTER)
        for camera in cameras:
            camera.enough.set()
    for camera in cameras:
        assert camera.answered == list(range(len(camera.answered)))
        assert camera.faults == []


async def test_no_request_is_lost_when_one_of_two_services_stops(
    start_proxy: StartProxy, rose: bytes
) -> None:
    proxy = await asyncio.to_thread(start_proxy)
    stopped = asyncio.Event()

    async def ask() -> list[int]:
        """The statuses of requests in turn, until some time after the stop."""
        statuses: list[int] = []
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            after = 0
            while after < AFTER:
                answer = await client.post(f"{proxy.url}/v1/segment", content=rose)
                statuses.append(answer.status_code)
                after += stopped.is_set()
        return statuses

    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(ask()) for _ in range(CAMERAS)]
        await asyncio.to_thread(proxy.services[0].wait_for, "request", outcome="ok")
        await asyncio.to_thread(proxy.services[1].wait_for, "request", outcome="ok")
        status = await asyncio.to_thread(proxy.services[0].stop)
        stopped.set()
    assert status == 0
    assert {status for each in asking for status in each.result()} == {200}


async def wait_for_answers(cameras: list[Camera], count: int) -> None:
    """Returns when each camera has that many answers."""
    async with asyncio.timeout(PATIENCE_S):
        while min(len(camera.answered) for camera in cameras) < count:
            await asyncio.sleep(0.02)


def count_streams(service: Service) -> float:
    """The streams that are open in a service."""
    lines = httpx.get(f"{service.url}/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("blitzmask_streams "))
