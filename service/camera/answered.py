"""What comes back for a frame."""

from dataclasses import dataclass

from service.serving.streaming import Frame, FrameResult


@dataclass(frozen=True, slots=True)
class Answered:
    """A frame as it was taken, and its result.

    The result's age is from when the frame was taken to its answer's arrival; its `dropped` counts all
    frames that were taken and not answered, whoever dropped them; its identities differ from all that were
    given before the server was last lost.
    """

    frame: Frame
    result: FrameResult
