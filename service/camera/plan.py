"""What the command line asks for, read and checked."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from service.camera.folder import Folder, list_images
from service.camera.jsonlines import JsonLines
from service.camera.link import Asked
from service.camera.mqtt import SCHEMES, MqttOutput, parse_broker
from service.camera.output import Output
from service.camera.recording import Recording
from service.camera.source import Source, SourceLost
from service.camera.video import NetworkCamera, VideoFile, Webcam
from service.client.credentials import NOTHING, Credentials
from service.errors import InvalidOption

NETWORK = ("rtsp", "rtsps", "http", "https")
STDOUT, VIDEO = "jsonl", "video"
FPS = 25.0  # of a video whose source does not say


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """From where, through which server, to where.

    server: "host:port" of its gRPC port, or "grpcs://host:port"; credentials: what it asks for.
    """

    source: Source
    server: str
    outputs: Sequence[str]
    asked: Asked
    credentials: Credentials = NOTHING


def parse_source(text: str) -> Source:
    """A webcam by its number, a network camera by its URL, a video file or a folder by its path.

    Raises InvalidOption.

    >>> parse_source("0").name, parse_source("rtsp://me:secret@door/live").name
    ('webcam-0', 'door/live')
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


def check_outputs(outputs: Sequence[str]) -> None:
    """Raises InvalidOption where one is none of those we have, or two would write the same."""
    for text in outputs:
        if text in (STDOUT, VIDEO) or Path(text).suffix.lower() in (".jsonl", ".mp4"):
            continue
        if urlsplit(text).scheme in SCHEMES:
            parse_broker(text)
            continue
        raise InvalidOption(
            f"--out {text}: expected jsonl, video, a file.jsonl, a file.mp4 or {'://..., '.join(SCHEMES)}://..."
        )
    if len(set(outputs)) < len(outputs):
        raise InvalidOption("--out: the same output is named twice")


def open_output(text: str, plan: CameraPlan, fps: float | None) -> Output:
    """One output of a plan; raises InvalidOption where it cannot be written to."""
    source = plan.source
    if urlsplit(text).scheme in SCHEMES:
        labels = plan.asked.options.segment.classes or ()
        return MqttOutput(parse_broker(text), source.name, labels=labels, title=source.title)
    if text == STDOUT:
        return JsonLines(os.fdopen(os.dup(sys.stdout.fileno()), "wb"), source.title)
    path = Path(f"{Path(source.name).name}-annotated.mp4" if text == VIDEO else text)
    try:
        file = path.open("wb")
    except OSError as error:
        raise InvalidOption(f"--out {path}: {(error.strerror or str(error)).lower()}") from error
    if path.suffix.lower() == ".jsonl":
        return JsonLines(file, source.title)
    file.close()
    return Recording(path, fps or FPS, every=plan.asked.options.policy == "all")
