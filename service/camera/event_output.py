"""Outputs of events only: JSON lines, and a folder of snapshots."""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import orjson

from service.camera.output import AnsweredFrame, Notice
from service.events.report import event_to_json


class EventLines:
    """Writes one JSON object per event; `open_file` is called at the first of them."""

    def __init__(self, open_file: Callable[[], BinaryIO], camera: str) -> None:
        self._open_file = open_file
        self._camera = camera
        self._file: BinaryIO | None = None

    def tell(self, notice: Notice) -> None:
        for event in notice.report.events:
            if self._file is None:
                self._file = self._open_file()
            self._file.write(orjson.dumps({"camera": self._camera, **event_to_json(event)}) + b"\n")
            self._file.flush()

    def write(self, answered: AnsweredFrame, *, fps: float) -> None:
        pass

    def pause(self) -> None:
        pass

    def close(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # the last write has already reported it
                self._file.close()


class SnapshotFolder:
    """Writes two JPEGs for each object that is gone: CAMERA-TIME-ID.jpg with its mask, and -crop.jpg without.

    TIME is when the object was last seen, in milliseconds. The folder is made with the first snapshot.
    """

    def __init__(self, folder: Path, camera: str) -> None:
        self._folder = folder
        self._camera = re.sub(r"[^\w.-]+", "-", camera).strip("-.") or "camera"

    def tell(self, notice: Notice) -> None:
        """Raises OSError where the folder cannot be written."""
        for event in notice.report.events:
            snapshot = notice.snapshots.get(event.track_id)
            if event.kind == "gone" and snapshot is not None:
                self._folder.mkdir(exist_ok=True)
                stem = f"{self._camera}-{round(event.time_s * 1000)}-{event.track_id}"
                (self._folder / f"{stem}.jpg").write_bytes(snapshot.drawn)
                (self._folder / f"{stem}-crop.jpg").write_bytes(snapshot.crop)

    def write(self, answered: AnsweredFrame, *, fps: float) -> None:
        pass

    def pause(self) -> None:
        pass

    def close(self) -> None:
        pass
