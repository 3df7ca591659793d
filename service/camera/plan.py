"""What the command line asks for, read and checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from service.camera.folder import Folder, list_images
from service.camera.link import Asked
from service.camera.source import Source, SourceLost
from service.camera.video import NetworkCamera, VideoFile, Webcam
from service.client.credentials import NOTHING, Credentials
from service.errors import InvalidOption

NETWORK = ("rtsp", "rtsps", "http", "https")


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """From where, through which server, to where.

    server: "host:port" of its gRPC port, or "grpcs://host:port"; credentials: what it asks for.
    name: of the camera, for people and topics; None: what the source is called.
    """

    source: Source
    server: str
    outputs: Sequence[str]
    asked: Asked
    credentials: Credentials = NOTHING
    name: str | None = None

    @property
    def camera(self) -> str:
        """What the camera is called."""
        return self.name or self.source.name


def parse_source(text: str) -> Source:
    """A webcam by its number, a network camera by its URL, a video file or a folder by its path.

    Raises InvalidOption.

    >>> parse_source("rtsp://me:secret@door/live").name
    'door/live'
    """
    if text.isascii() and text.isdigit():
        return Webcam(int(text))
    scheme, separator, _ = text.partition("://")
    if separator:
        if scheme.lower() not in NETWORK or not urlsplit(text).hostname:
            raise InvalidOption(f"{scheme}://: a source's address is one of {', '.join(NETWORK)}://host/...")
        return NetworkCamera(text)
    path = Path(text)
    if text and path.is_dir():
        try:
            return Folder(path, list_images(path))
        except SourceLost as lost:
            raise InvalidOption(str(lost)) from lost
    if not path.is_file():
        raise InvalidOption(f"{text}: there is no such file; a webcam is a number, as 0")
    return VideoFile(path)
