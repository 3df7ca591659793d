"""The seam to the transports: a photo in, an answer out, and a server's faults are answers too."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

OK = "ok"


@dataclass(frozen=True, slots=True)
class Photo:
    """An encoded image as it goes over the wire."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one photo.

    kind: "ok", or what went wrong, in few words and without details, so that it can be counted.
    body: the answer's bytes, JSON or proto; the server's or the network's explanation when it is not ok.
    stages: milliseconds per stage as the server reports them; empty when it does not.
    """

    kind: str
    body: bytes = b""
    stages: Mapping[str, float] = field(default_factory=dict)


class Client(Protocol):
    """One connection, one request at a time."""

    async def send(self, photo: Photo) -> Answer:
        """The answer to one photo, within the client's timeout; raises nothing that a server can cause."""
        ...

    async def close(self) -> None:
        """Hang up."""
        ...
