"""Models in compute processes: their descriptions in the front, the table of each process, freed memory."""

import ctypes
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from service.compute.task import Turn
from service.errors import NotReady
from service.inference.backends.base import Backend, BackendChoice
from service.inference.card import Card, Runtime
from service.inference.images import Limits
from service.inference.segmenter import Segmenter, open_model
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
class Opened:
    """The description of a model that a compute process has opened and tested.

    card: as JSON. alone: the backend of an inference that has the machine for itself; crowded: the backend
        of one among others.
    """

    card: str
    alone: BackendInfo
    crowded: BackendInfo


@dataclass(frozen=True, slots=True)
class OpenWork:
    """Opens and tests a model and keeps it under its number; raises ArtifactError's leaves."""

    number: int
    folder: Path
    choice: BackendChoice
    limits: Limits

    def __call__(self, turn: Turn) -> Opened:
        segmenter = open_model(self.folder, self.choice, self.limits)
        _OPENED[self.number] = segmenter
        backend = segmenter.backend
        return Opened(segmenter.card.model_dump_json(), backend.describe(), backend.describe(crowded=True))

    def narrowed(self) -> "OpenWork":
        """The same without a session of many threads, which only one compute process needs."""
        return replace(self, choice=replace(self.choice, threads_alone=None))

    def settled(self, opened: Opened) -> "OpenWork":
        """The same for the very file that was opened, whatever was left open before."""
        runtime: Runtime = "onnx" if opened.crowded.runtime == "onnxruntime" else "tflite"
        precision = opened.crowded.precision
        return replace(self, choice=replace(self.choice, runtime=runtime, precision=precision))


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

    opened: Opened

    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        raise NotImplementedError("this model computes in compute processes only")

    def describe(self, *, crowded: bool = False) -> BackendInfo:
        return self.opened.crowded if crowded else self.opened.alone

    def close(self) -> None:
        """Nothing is open here."""


class DescribedModel:
    """A model of the compute processes; pickled to one of them, it becomes that process's `Segmenter`."""

    def __init__(self, number: int, opened: Opened, limits: Limits) -> None:
        self.number = number
        self.card = Card.model_validate_json(opened.card)
        self.backend: Backend = DescribedBackend(opened)
        self.limits = limits

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return find_opened, (self.number,)

    def segment(self, data: bytes, options: Options, *, crowded: bool = False) -> Segmentation:
        raise NotImplementedError("this model computes in compute processes only")

    def segment_pixels(self, pixels: Pixels, options: Options, *, crowded: bool = False) -> Segmentation:
        raise NotImplementedError("this model computes in compute processes only")

    def close(self) -> None:
        """The compute processes free it once nobody holds this description."""


def find_opened(number: int) -> Segmenter:
    """The model of that number in this compute process; raises NotReady where it could not be opened."""
    try:
        return _OPENED[number]
    except KeyError:
        raise NotReady("the model could not be opened again after a compute process had ended") from None
