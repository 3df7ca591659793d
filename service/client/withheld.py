"""Frames that are larger than what the server takes.

gRPC ends a whole stream at the first message that is too large for its server. In the place of such a frame
goes one without a picture, which the server answers with an error in its turn, and that error is named here.
"""

from collections import deque
from dataclasses import replace

from service.errors import BlitzError, ImageTooLarge
from service.rpc.generated import segmentation_pb2 as pb
from service.serving.streaming import FrameResult


class Withheld:
    """Those of one stream; one thread sends and another may read."""

    def __init__(self) -> None:
        self._faults: deque[tuple[int, BlitzError]] = deque()

    def check(self, message: pb.Frame, *, most: int | None) -> pb.Frame:
        """The message if it has at most so many bytes, else one without its picture."""
        size = message.ByteSize()
        if most is None or size <= most:
            return message
        fault = ImageTooLarge(f"the frame has {size} bytes, at most {most} are accepted by the server")
        self._faults.append((message.frame_id, fault))
        message.ClearField("content")
        return message

    def explain(self, result: FrameResult) -> FrameResult:
        """The result, or why its frame went without its picture; results come in the order of the frames."""
        if result.id in [number for number, _ in tuple(self._faults)]:
            while True:  # those before it were dropped
                number, fault = self._faults.popleft()
                if number == result.id:
                    return replace(result, outcome=fault)
        return result
