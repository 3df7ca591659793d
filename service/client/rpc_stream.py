"""The sending side of a stream of frames, shared by both gRPC clients.

gRPC ends a whole stream at the first message that is too large for its server. So a frame that is too large
is sent without its picture. The server answers it with an error in its turn, and `Withheld` gives the reason.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Iterable, Iterator
from dataclasses import replace
from queue import SimpleQueue
from typing import Any, Protocol

import grpc

from service.client.asking import read_picture
from service.client.proto_convert import frame_to_proto
from service.errors import BlitzError, ImageTooLarge
from service.frames import FrameResult
from service.rpc import MAX_MESSAGE
from service.rpc.generated import segmentation_pb2 as pb


class AnyFrame(Protocol):
    """A `Frame`, or an object like one."""

    @property
    def id(self) -> int: ...
    @property
    def captured_us(self) -> int | None: ...
    @property
    def picture(self) -> object: ...


class Withheld:
    """The frames of one stream that were too large; one thread sends and another may read."""

    def __init__(self) -> None:
        self._faults: deque[tuple[int, BlitzError]] = deque()

    def check(self, message: pb.Frame, *, most: int | None) -> pb.Frame:
        """The message if it has at most `most` bytes, otherwise one without its picture."""
        size = message.ByteSize()
        if most is None or size <= most:
            return message
        fault = ImageTooLarge(f"the frame has {size} bytes, at most {most} are accepted by the server")
        self._faults.append((message.frame_id, fault))
        message.ClearField("content")
        return message

    def explain(self, result: FrameResult) -> FrameResult:
        """The result, or the reason why its frame was sent without its picture.

        Results come in the order of the frames.
        """
        if result.id in [number for number, _ in tuple(self._faults)]:
            while True:  # the server has dropped the earlier ones
                number, fault = self._faults.popleft()
                if number == result.id:
                    return replace(result, outcome=fault)
        return result


class Writer:
    """Writes the frames of one stream after a first message with its options.

    withheld: the frames that were too large. faults: the errors that `frames` raised, which gRPC does not
    report to the caller.
    """

    def __init__(self, first: pb.Frame) -> None:
        self._first = first
        self.withheld = Withheld()
        self.faults: list[Exception] = []
        self.calls: SimpleQueue[grpc.Call] = SimpleQueue()  # receives the call that sends these messages

    def write(self, frames: Iterable[AnyFrame]) -> Iterator[pb.Frame]:
        """The messages for gRPC to send, in a thread of its own."""
        yield self._first
        try:
            most = _read_limit(self.calls.get().initial_metadata())
            for frame in frames:
                yield self._convert(frame, most)
        except Exception as error:
            self.faults.append(error)
            raise

    async def write_async(self, call: Any, frames: AsyncIterable[AnyFrame]) -> None:
        """Send until there are no more frames, or until the call has ended; its reader reports that."""
        try:
            await call.write(self._first)
            most = _read_limit(await call.initial_metadata())
            async for frame in frames:
                await call.write(self._convert(frame, most))
            await call.done_writing()
        except (grpc.RpcError, asyncio.InvalidStateError):
            pass
        except Exception as error:
            self.faults.append(error)
            call.cancel()

    def _convert(self, frame: AnyFrame, most: int | None) -> pb.Frame:
        if isinstance(frame.picture, BlitzError):
            raise frame.picture
        message = frame_to_proto(frame.id, frame.captured_us, read_picture(frame.picture))
        return self.withheld.check(message, most=most)


def _read_limit(headers: Iterable[tuple[str, str | bytes]]) -> int | None:
    """The largest message that a server takes, in bytes, where it says so."""
    most = dict(headers).get(MAX_MESSAGE)
    return None if most is None else int(most)
