"""Models in compute processes: their descriptions in the front, the table of each process, freed memory."""

import ctypes
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from service.compute.task import Turn
from service.errors import NotReady
from service.inference.backends.base import FILES, PACKAGES, Backend, BackendChoice
from service.inference.card import ArtifactFile, Card
from service.inference.detections import Findings
from service.inference.images import Limits
from service.inference.segmenter import Segmenter, open_model
from service.inference.views import ALONE, Share
from service.types import BackendInfo, Heads, Options, Pixels, Segmentation


def release_memory() -> None:
    """Give freed memory back to the system; does so only with glibc.

    The C library keeps the memory of a closed model in pieces that are too small for the next one: without
    this, a process holds 340 MB instead of 180 after 50 reloads of the default model.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


_OPENED: dict[int, Segmenter] = {}  # of this compute process, by the number the front gave them


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of a `KeptFolder`."""

    path: Path
    contents: dict[str, bytes]

    def __str__(self) -> str:
        return str(self.path)

    def stat(self) -> os.stat_result:
        """The status on the disk; of a file that has been read, that of a regular file of its size."""
        content = self.contents.get(self.path.name)
        if content is None:
            return self.path.stat()
        return os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, len(content), 0, 0, 0))

    def read_bytes(self) -> bytes:
        if self.path.name not in self.contents:
            self.contents[self.path.name] = self.path.read_bytes()
        return self.contents[self.path.name]


@dataclass(frozen=True, slots=True)
class KeptFolder:
    """A model folder whose files are read from the disk once, whatever becomes of them later."""

    path: Path
    contents: dict[str, bytes] = field(default_factory=dict)  # by file name

    def __truediv__(self, name: str) -> KeptFile:
        return KeptFile(self.path / name, self.contents)


@dataclass(frozen=True, slots=True)
class Opened:
    """The description of a model that a compute process has opened and tested.

    card: as JSON. alone: the backend of an inference that has the machine for itself; crowded: the backend
        of one among others. contents: of the files that were opened, by name, for processes that follow.
    """

    card: str
    alone: BackendInfo
    crowded: BackendInfo
    contents: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class OpenWork:
    """Opens and tests a model and keeps it under its number; raises ArtifactError's leaves."""

    number: int
    folder: KeptFolder
    choice: BackendChoice
    limits: Limits

    def __call__(self, turn: Turn) -> Opened:
        segmenter = open_model(self.folder, self.choice, self.limits)
        _OPENED[self.number] = segmenter
        card, backend = segmenter.card, segmenter.backend
        crowded = backend.describe(crowded=True)
        (file,) = (each for each in card.files if is_file_of(each, crowded))
        names = ("card.json", "golden.json", *(part.path for part in file.parts))
        contents = {name: self.folder.contents[name] for name in names}
        return Opened(card.model_dump_json(), backend.describe(), crowded, contents)

    def narrowed(self) -> "OpenWork":
        """The same without a session of many threads, which only one compute process needs."""
        return replace(self, choice=replace(self.choice, threads_alone=None))

    def settled(self, opened: Opened) -> "OpenWork":
        """The same for the very file that was opened, whatever was left open before."""
        choice = replace(
            self.choice, runtime=PACKAGES[opened.crowded.runtime], precision=opened.crowded.precision
        )
        return replace(self, folder=KeptFolder(self.folder.path, dict(opened.contents)), choice=choice)


def is_file_of(file: ArtifactFile, backend: BackendInfo) -> bool:
    """Whether a backend has opened this file of its card."""
    precision = "fp32" if backend.precision == "bf16" else backend.precision
    return (file.runtime, file.precision) == (FILES[PACKAGES[backend.runtime]], precision)


@dataclass(frozen=True, slots=True)
class CloseWork:
    """Frees a model of this process."""

    number: int

    def __call__(self, turn: Turn) -> None:
        segmenter = _OPENED.pop(self.number, None)
        if segmenter is not None:
            segmenter.close()
            del segmenter
            release_memory()


@dataclass(frozen=True, slots=True)
class DescribedBackend:
    """The description of a backend in a compute process; it computes nothing here."""

    alone: BackendInfo
    crowded: BackendInfo

    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        raise NotImplementedError("this model computes in compute processes only")

    def describe(self, *, crowded: bool = False) -> BackendInfo:
        return self.crowded if crowded else self.alone

    def close(self) -> None:
        """Nothing is open here."""


class DescribedModel:
    """A model of the compute processes; pickled to one of them, it becomes that process's `Segmenter`."""

    def __init__(self, work: OpenWork, opened: Opened) -> None:
        self.number, self.folder, self.choice, self.limits = (
            work.number,
            work.folder,
            work.choice,
            work.limits,
        )
        self.card = Card.model_validate_json(opened.card)
        self.backend: Backend = DescribedBackend(opened.alone, opened.crowded)

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return find_opened, (self.number,)

    def segment(self, data: bytes, options: Options, *, crowded: bool = False) -> Segmentation:
        raise NotImplementedError("this model computes in compute processes only")

    def segment_pixels(self, pixels: Pixels, options: Options, *, crowded: bool = False) -> Segmentation:
        raise NotImplementedError("this model computes in compute processes only")

    def search(
        self, data: bytes, options: Options, share: Share = ALONE, *, crowded: bool = False
    ) -> Findings:
        raise NotImplementedError("this model computes in compute processes only")

    def join(self, shares: Sequence[Findings], options: Options) -> Segmentation:
        raise NotImplementedError("this model computes in compute processes only")

    def close(self) -> None:
        """The compute processes free it once nobody holds this description."""


def find_opened(number: int) -> Segmenter:
    """The model of that number in this compute process; raises NotReady where it could not be opened."""
    try:
        return _OPENED[number]
    except KeyError:
        raise NotReady("the model could not be opened again after a compute process had ended") from None
