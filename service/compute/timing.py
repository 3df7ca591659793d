"""The fastest file of a model on this very machine: timed once in a compute process, and remembered.

A card's own figures come from another machine, and a runtime that is faster there may be slower here.
The choice lasts until the files, the runtimes or the machine change, so nothing else that runs meanwhile may
decide it: the least processor time of a run counts. By the clock, a busy machine once chose a file that takes
twice as long as another.
"""

import hashlib
import json
import os
import platform
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from service.compute.models import KeptFolder
from service.compute.task import Turn
from service.errors import BlitzError
from service.inference.backends import Backend, list_rivals
from service.inference.backends.base import BackendChoice
from service.inference.card import Card, Runtime, read_card
from service.inference.segmenter import open_model
from service.types import Pixels, Precision

TIMED_S = 1.0  # for each file
LEAST_ROUNDS = 5
PACKAGES = ("onnxruntime", "ai-edge-litert", "tflite-runtime", "ncnn")

log = structlog.get_logger("service.compute.timing")


@dataclass(frozen=True, slots=True)
class Timed:
    """A file of a card, and the milliseconds of processor time that one inference takes at least."""

    runtime: Runtime
    precision: Precision
    cpu_ms: float

    def pin(self, choice: BackendChoice) -> BackendChoice:
        """The choice of this very file."""
        return replace(choice, runtime=self.runtime, precision=self.precision)


@dataclass(frozen=True, slots=True)
class TimeWork:
    """Times the files among which "auto" may choose, in turns; () where there is no choice.

    A file that cannot be opened here, or fails its self-test, takes no part. Raises InvalidCard.
    """

    folder: KeptFolder
    choice: BackendChoice
    seconds: float = TIMED_S

    def __call__(self, turn: Turn) -> tuple[Timed, ...]:
        card = read_card(self.folder)
        alone = replace(self.choice, slots=1, threads_alone=None)
        backends: dict[tuple[Runtime, Precision], Backend] = {}
        for file in list_rivals(card, self.choice):
            with suppress(BlitzError):
                pinned = replace(alone, runtime=file.runtime, precision=file.precision)
                backends[file.runtime, file.precision] = open_model(self.folder, pinned).backend
        if len(backends) < 2:
            return ()
        times = measure_least(list(backends.values()), card, self.seconds)
        return tuple(
            Timed(*name, round(seconds * 1000, 3)) for name, seconds in zip(backends, times, strict=True)
        )


def measure_least(backends: list[Backend], card: Card, seconds: float) -> list[float]:
    """The least seconds of processor time that each backend takes for an image, all its threads together.

    The backends take turns for `seconds` times their number.
    """
    pixels = np.zeros((1, card.canvas.height, card.canvas.width, 3), np.uint8)
    rounds: list[list[float]] = []
    end = time.perf_counter() + seconds * len(backends)
    while len(rounds) < LEAST_ROUNDS or time.perf_counter() < end:
        rounds.append([_time_run(backend, pixels) for backend in backends])
    return [min(times) for times in zip(*rounds, strict=True)]


def _time_run(backend: Backend, pixels: Pixels) -> float:
    begun = time.process_time()
    backend.run(pixels, crowded=True)
    return time.process_time() - begun


class FastestFiles:
    """The fastest file of each card on this machine, as far as it is known; also kept in a folder.

    Where the folder cannot be written or read, files are timed at every start.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._known: dict[str, Timed] = {}

    def find(self, card: Card, choice: BackendChoice) -> Timed | None:
        """The fastest file of a card that fits a choice, None where it is not known."""
        key = describe_case(card, choice)
        if key not in self._known:
            with suppress(OSError, ValueError, TypeError, KeyError):
                self._known[key] = self._read(key, card)
        return self._known.get(key)

    def note(self, card: Card, choice: BackendChoice, timed: tuple[Timed, ...]) -> Timed:
        """The fastest of the timed files, which is remembered."""
        fastest = min(timed, key=lambda each: each.cpu_ms)
        key = describe_case(card, choice)
        self._known[key] = fastest
        log.info(
            "files of a model timed",
            model=f"{card.name} {card.version}",
            cpu_ms={f"{each.runtime} {each.precision}": each.cpu_ms for each in timed},
            chosen=f"{fastest.runtime} {fastest.precision}",
        )
        with suppress(OSError):
            self._write(key, fastest)
        return fastest

    def _read(self, key: str, card: Card) -> Timed:
        if self._folder is None:
            raise KeyError(key)
        content: dict[str, Any] = json.loads((self._folder / f"{key}.json").read_bytes())
        found = Timed(content["runtime"], content["precision"], float(content["cpu_ms"]))
        if (found.runtime, found.precision) not in [(file.runtime, file.precision) for file in card.files]:
            raise KeyError(key)
        return found

    def _write(self, key: str, fastest: Timed) -> None:
        """Put the file there at once, so that no other process reads a part of it."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self._folder, delete=False) as file:
            json.dump(asdict(fastest), file)
        Path(file.name).replace(self._folder / f"{key}.json")


def describe_case(card: Card, choice: BackendChoice) -> str:
    """A hash of all that decides which file is fastest: files, choice, processor, versions of runtimes."""
    files = [
        *sorted(part.sha256 for file in card.files for part in file.parts),
        choice.runtime,
        str(choice.threads),
    ]
    versions = [f"{package} {_read_version(package)}" for package in PACKAGES]
    machine = [platform.machine(), _read_processor(), str(os.cpu_count())]
    return hashlib.sha256("\n".join(files + versions + machine).encode()).hexdigest()[:32]


def _read_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _read_processor() -> str:
    """The processor by its name and features, in Linux; "" elsewhere."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = ("model name", "flags", "Features", "CPU part", "Hardware")
        return "\n".join(dict.fromkeys(line for line in lines if line.startswith(names)))
    return ""
