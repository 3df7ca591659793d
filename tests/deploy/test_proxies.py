"""nginx and Envoy with the configurations of deploy/, before two services of which one stops or is killed."""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import psutil
import pytest

from service.camera.source import Retry
from service.camera.stream_client import StreamClient, StreamRequest
from service.client import AsyncRpcClient, RpcClient
from service.serving.streaming import Frame, StreamOptions
from service.serving.streaming.frame import FrameSlot, LoopClock
from tests.deploy.conftest import Proxy, StartProxy
from tests.e2e.serving.conftest import Service
from tests.running import PATIENCE_S

CAMERAS = 4
FRAMES = 60  # of each camera
BEFORE = 5  # answers that each camera has when a service stops
RESUMED_S = 2.0
PNG = {"content-type": "image/png"}


class Camera:
    """A camera that answers every frame, over the proxy; `answered` are the frames' numbers in their order."""

    def __init__(self, proxy: Proxy, picture: bytes) -> None:
        self.clock = LoopClock()
        self.slot = FrameSlot("all")
        self.picture = picture
        self.answered: list[int] = []
        self.pauses: list[float] = []
        self.reports: list[str] = []
        options = StreamRequest(StreamOptions(policy="all", track=False))
        self.client = StreamClient(
            lambda: AsyncRpcClient(proxy.target),
            options,
            slot=self.slot,
            clock=self.clock,
            retry=Retry(self.clock, self.reports.append),
        )

    async def run(self) -> None:
        """Returns when every frame is answered."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feed())
            last = self.clock.now()
            async with contextlib.aclosing(self.client.results()) as results:
                async for each in results:
                    now = self.clock.now()
                    self.pauses.append(now - last)
                    last = now
                    self.answered.append(each.result.id)

    async def _feed(self) -> None:
        for number in range(FRAMES):
            await self.slot.put(Frame(number, number, self.picture))
        self.slot.end()
