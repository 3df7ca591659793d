"""Where answers go: the seam that every output fills."""

from typing import Protocol

from service.camera.answered import Answered


class Output(Protocol):
    """Its methods block, and are called one at a time."""

    def write(self, answered: Answered, *, fps: float) -> None:
        """Take one more answer; `fps` is how many came in a second of late. Raises OSError."""
        ...

    def close(self) -> None:
        """Finish; nothing follows."""
        ...
