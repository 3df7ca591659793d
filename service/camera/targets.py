"""Where answers go, as the command line names it."""

import errno
import os
import re
import sys
from collections.abc import Hashable
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from service.camera.jsonlines import JsonLines
from service.camera.mqtt import SCHEMES, MqttOutput, parse_broker
from service.camera.output import Output
from service.camera.plan import CameraPlan
from service.camera.recording import Recording
from service.errors import InvalidOption

STDOUT, VIDEO = "jsonl", "video"
FPS = 25.0  # of a video whose source does not say


def default_outputs() -> list[str]:
    """JSON lines, but for who looks at a terminal: there the status line says what is found."""
    return [] if sys.stdout.isatty() and sys.stderr.isatty() else [STDOUT]


def check_outputs(plan: CameraPlan) -> None:
    """Raises InvalidOption where an output cannot be, two write the same, or one would destroy the source.

    Nothing is opened for that: who is refused has lost no file.
    """
    read = {_identify(path) for path in plan.source.files}
    written: set[Hashable] = set()
    for text in plan.outputs:
        place = _locate(text, plan)
        if place in read:
            raise InvalidOption(f"--out {text}: that is the source, which would be overwritten")
        if place in written:
            raise InvalidOption(f"--out {text}: the same output is named twice")
        written.add(place)


def open_output(text: str, plan: CameraPlan, *, fps: float | None) -> Output:
    """An output that was checked; a file is opened by its first answer. Raises InvalidOption."""
    source = plan.source
    if urlsplit(text).scheme in SCHEMES:
        labels = plan.asked.options.segment.classes or ()
        return MqttOutput(parse_broker(text), plan.camera, labels=labels, title=source.title)
    if text == STDOUT:
        return JsonLines(_open_stdout, source.title)
    path = _choose_path(text, plan)
    if path.suffix.lower() == ".jsonl":
        return JsonLines(lambda: path.open("wb"), source.title)
    return Recording(path, fps or FPS, every=plan.asked.options.policy == "all" and not source.live)


def _open_stdout() -> BinaryIO:
    return os.fdopen(os.dup(sys.stdout.fileno()), "wb")


def _locate(text: str, plan: CameraPlan) -> Hashable:
    """What an output writes to, by whatever name; raises InvalidOption where that cannot be."""
    if text == STDOUT:
        return STDOUT
    if urlsplit(text).scheme in SCHEMES:
        broker = parse_broker(text)
        return broker.host, broker.port, broker.base
    path = _choose_path(text, plan)
    if path.suffix.lower() not in (".jsonl", ".mp4"):
        raise InvalidOption(
            f"--out {text}: expected jsonl, video, a file.jsonl, a file.mp4 or {'://..., '.join(SCHEMES)}://..."
        )
    _check_writable(path)
    return _identify(path)


def _choose_path(text: str, plan: CameraPlan) -> Path:
    if text != VIDEO:
        return Path(text)
    stem = re.sub(r"[^\w.-]+", "-", plan.camera.rpartition("/")[2])
    return Path(f"{stem}-annotated.mp4")


def _identify(path: Path) -> Hashable:
    """The same for all names of one file."""
    try:
        found = path.stat()
    except OSError:  # not there yet
        return path.resolve()
    return found.st_dev, found.st_ino


def _check_writable(path: Path) -> None:
    if path.is_dir():
        reason = errno.EISDIR
    elif not path.parent.is_dir():
        reason = errno.ENOENT
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        reason = errno.EACCES
    else:
        return
    raise InvalidOption(f"--out {path}: {os.strerror(reason).lower()}")
