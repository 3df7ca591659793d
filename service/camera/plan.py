"""The source and the outputs, parsed from the command line and checked."""

import errno
import os
import re
import sys
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from service.camera.address import hide_password, split_address
from service.camera.event_output import EventLines, SnapshotFolder
from service.camera.mqtt import SCHEMES, MqttOutput, parse_broker
from service.camera.output import JsonLines, Output, Recording
from service.camera.source import Folder, Source, SourceLost, list_images
from service.camera.stream_client import StreamRequest
from service.camera.video import NetworkCamera, VideoFile, Webcam
from service.camera.watcher import Watcher
from service.camera.webhook import SCHEMES as HOOKS
from service.camera.webhook import WebhookOutput, parse_hook
from service.client.credentials import NOTHING, Credentials
from service.errors import InvalidOption
from service.events.scene import Scene

NETWORK = ("rtsp", "rtsps", "http", "https")
DEVICES = "/dev/"
STDOUT, EVENTS, VIDEO = "jsonl", "events", "video"
EVENTS_FILE = ".events.jsonl"
FPS = 25.0  # of the video of a source that names no rate


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """A source, the server that answers, and the outputs.

    server: "host:port" of its gRPC port, or "grpcs://host:port"; credentials: for that server.
    name: of the camera, for people and topics; None: the source's name.
    paced: a recording plays at its own speed. wait: for a camera, server or broker that is not there at the
    start.
    scene: the zones and lines to watch; None: none, and events are only made where an output takes them.
    webhook_secret: signs what is sent to webhooks.
    """

    source: Source
    server: str
    outputs: Sequence[str]
    request: StreamRequest
    credentials: Credentials = NOTHING
    name: str | None = None
    paced: bool = False
    wait: bool = False
    scene: Scene | None = None
    webhook_secret: str | None = None

    @property
    def camera(self) -> str:
        """The camera's name."""
        return self.name or self.source.name

    def start_watcher(self) -> Watcher | None:
        """A watcher of the scene; None where nobody asks for events."""
        if self.scene is None and not any(map(_takes_events, self.outputs)):
            return None
        return Watcher(
            self.scene or Scene(),
            memory_s=self.request.options.track_memory,
            snapshots=any(map(_takes_snapshots, self.outputs)),
        )


def parse_source(text: str) -> Source:
    """A webcam by its number or device, a network camera by its URL, a video file or a folder by its path.

    Raises InvalidOption.

    >>> parse_source("rtsp://me:secret@door/live").name
    'door/live'
    """
    if text.isascii() and text.isdigit():
        return Webcam(int(text))
    if "://" in text:
        return _parse_camera(text)
    path = Path(text)
    if text.startswith(DEVICES) or path.is_char_device():
        return Webcam(text)
    if text and path.is_dir():
        try:
            return Folder(path, list_images(path))
        except SourceLost as lost:
            raise InvalidOption(str(lost)) from lost
    if not path.is_file():
        raise InvalidOption(
            f"{hide_password(text)}: there is no such file; a webcam is a number, as 0, "
            "and a network camera's address begins with rtsp:// or http://"
        )
    return VideoFile(path)


def _parse_camera(text: str) -> NetworkCamera:
    scheme = text.partition("://")[0]
    if scheme.lower() not in NETWORK or not split_address(text).hostname:
        raise InvalidOption(
            f"{hide_password(scheme)}://...: a source's address is one of {', '.join(NETWORK)}://host/..."
        )
    return NetworkCamera(text)


def default_outputs() -> list[str]:
    """JSON lines; none on a terminal, where the status line shows the objects."""
    return [] if sys.stdout.isatty() and sys.stderr.isatty() else [STDOUT]


def check_outputs(plan: CameraPlan) -> None:
    """Raises InvalidOption for an impossible output, the same output twice, and one that is the source.

    It opens nothing, so that a refused command loses no file.
    """
    if plan.start_watcher() is not None and not plan.request.options.track:
        raise InvalidOption("events need --track: they belong to objects that are followed")
    read = {_identify(path) for path in plan.source.files}
    written: set[Hashable] = set()
    for text in plan.outputs:
        place = _locate(text, plan)
        if place in read:
            raise InvalidOption(f"--out {text}: that is the source, which would be overwritten")
        if place in written:
            raise InvalidOption(f"--out {hide_password(text)}: the same output is named twice")
        written.add(place)


def open_output(text: str, plan: CameraPlan, *, fps: float | None, report: Callable[[str], None]) -> Output:
    """The output; its file is opened at the first answer. `report` takes messages about lost events.

    Raises InvalidOption, and Unavailable if it may be there later.
    """
    source = plan.source
    if _is_broker(text):
        labels = plan.request.options.segment.classes or ()
        return MqttOutput(
            parse_broker(text), plan.camera, labels=labels, title=source.title, scene=plan.scene
        )
    if _is_hook(text):
        return WebhookOutput(parse_hook(text, plan.webhook_secret), plan.camera, report=report)
    if text == STDOUT:
        return JsonLines(_open_stdout, source.title)
    if text == EVENTS:
        return EventLines(_open_stdout, plan.camera)
    path = _choose_path(text, plan)
    if text.endswith("/"):
        return SnapshotFolder(path, plan.camera)
    if path.name.lower().endswith(EVENTS_FILE):
        return EventLines(lambda: path.open("wb"), plan.camera)
    if path.suffix.lower() == ".jsonl":
        return JsonLines(lambda: path.open("wb"), source.title)
    return Recording(path, fps or FPS, "live" if source.live else "recorded" if source.timed else "none")


def _open_stdout() -> BinaryIO:
    return os.fdopen(os.dup(sys.stdout.fileno()), "wb")


def _is_broker(text: str) -> bool:
    return text.partition("://")[0].lower() in SCHEMES and "://" in text


def _is_hook(text: str) -> bool:
    return text.partition("://")[0].lower() in HOOKS and "://" in text


def _takes_events(text: str) -> bool:
    """True for an output that is nothing without events."""
    is_file = text == EVENTS or text.lower().endswith((EVENTS_FILE, "/"))
    return _is_hook(text) or (is_file and not _is_broker(text))


def _takes_snapshots(text: str) -> bool:
    return _is_hook(text) or _is_broker(text) or text.endswith("/")


def _locate(text: str, plan: CameraPlan) -> Hashable:
    """The place that an output writes to, the same for all of its names; raises InvalidOption."""
    if text in (STDOUT, EVENTS):
        return STDOUT
    if _is_hook(text):
        return parse_hook(text, None)
    if _is_broker(text):
        if plan.name is None and not plan.source.distinct:
            raise InvalidOption(
                "--out mqtt://...: the camera's address holds a password in its path, so no topic can be "
                "named after it: name the camera by --name"
            )
        broker = parse_broker(text)
        return broker.host, broker.port, broker.base
    path = _choose_path(text, plan)
    if "://" in text or (path.suffix.lower() not in (".jsonl", ".mp4") and not text.endswith("/")):
        raise InvalidOption(
            f"--out {hide_password(text)}: expected jsonl, events, video, a file.jsonl, a file.events.jsonl, "
            f"a file.mp4, a folder/ or {'://..., '.join((*SCHEMES, *HOOKS))}://..."
        )
    if text.endswith("/"):
        _check_folder(path)
        return path.resolve()
    _check_writable(path)
    return _identify(path)


def _choose_path(text: str, plan: CameraPlan) -> Path:
    if text != VIDEO:
        return Path(text)
    stem = re.sub(r"[^\w.-]+", "-", plan.camera.rpartition("/")[2])
    return Path(f"{stem}-annotated.mp4")


def _identify(path: Path) -> Hashable:
    """The same value for all names of one file."""
    try:
        found = path.stat()
    except OSError:  # not there yet
        return path.resolve()
    return found.st_dev, found.st_ino


def _check_folder(path: Path) -> None:
    """Raises InvalidOption for a folder of snapshots that cannot be made or written."""
    if path.exists() and not path.is_dir():
        raise InvalidOption(f"--out {path}/: that is a file; name a folder for the snapshots")
    _check_writable(path / "snapshot.jpg" if path.is_dir() else path)


def _check_writable(path: Path) -> None:
    if path.is_dir():
        reason = errno.EISDIR
    elif not path.parent.is_dir():
        reason = errno.ENOENT
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        reason = errno.EACCES
    else:
        return
    raise InvalidOption(f"--out {hide_password(str(path))}: {os.strerror(reason).lower()}")
