"""Frames that are under way."""

import asyncio

from service.serving.streaming import Frame

IN_FLIGHT = 8  # enough for a few workers and a slow network, few enough for answers to be fresh


class Window:
    """Those that were sent and not answered, in their order; whoever sends waits for room."""

    def __init__(self) -> None:
        self._frames: dict[int, Frame] = {}
        self._room = asyncio.Event()

    @property
    def frames(self) -> tuple[Frame, ...]:
        """All of them, now."""
        return tuple(self._frames.values())

    async def wait(self) -> None:
        """Until there is room for one more."""
        while len(self._frames) >= IN_FLIGHT:
            self._room.clear()
            await self._room.wait()

    def add(self, frame: Frame) -> None:
        """It is about to be sent."""
        self._frames[frame.id] = frame

    def settle(self, number: int) -> Frame | None:
        """The frame of a result; those before it will have none any more."""
        frame = self._frames.get(number)
        self._frames = {later: sent for later, sent in self._frames.items() if later > number}
        self._room.set()
        return frame

    def clear(self) -> None:
        """None of them will be answered."""
        self._frames.clear()
        self._room.set()
