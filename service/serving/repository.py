"""The folders of models, one place each: what lies there, what of it serves, and why not."""

import re
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from service.errors import BlitzError
from service.inference.backends import BackendChoice
from service.inference.images import Limits
from service.inference.segmenter import Segmenter, open_model

DEFAULT_FILE = "DEFAULT"  # in the models folder: the name of the default model

_FOLDERS = re.compile(r"(?<![^\s'\"(\[:=])/(?:[^\s/'\"]+/)+")  # in front of a file's name

Fingerprint: TypeAlias = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """What a catalog is made from; `default` is a model's name, None: the file DEFAULT names it."""

    models_dir: Path
    default: str | None
    choice: BackendChoice
    limits: Limits

    def read_default(self) -> str | None:
        """The name of the default model, None where nobody names one."""
        path = self.models_dir / DEFAULT_FILE
        return self.default or (path.read_text().strip() if path.is_file() else None)

    def find_folders(self) -> dict[str, Path]:
        """The folders with a card, NAME and NAME/VERSION, by their place below the models folder."""
        found = (
            card.parent for pattern in ("*", "*/*") for card in self.models_dir.glob(f"{pattern}/card.json")
        )
        return {folder.relative_to(self.models_dir).as_posix(): folder for folder in sorted(found)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One place: the model that serves from it, if any, and why its present content does not, if it does not.

    Both are there where new content was refused and the model that had been loaded before goes on, neither
    where it was unloaded.
    """

    fingerprint: Fingerprint
    segmenter: Segmenter | None = None
    reason: str | None = None

    @property
    def is_unloaded(self) -> bool:
        return self.segmenter is None and self.reason is None


Entries: TypeAlias = Mapping[str, Entry]


def take_fingerprint(folder: Path) -> Fingerprint:
    """Changes when a file of the folder does: names, sizes and times of change in nanoseconds."""
    found = []
    for path in sorted(folder.iterdir()):
        status = path.stat()
        found.append((path.name, status.st_size, status.st_mtime_ns))
    return tuple(found)


def take_census(models_dir: Path) -> dict[str, Fingerprint]:
    """The fingerprint of every file and folder of the models folder; changes when anything in it does."""
    return {
        path.as_posix(): take_fingerprint(path)
        for path in (models_dir, *models_dir.glob("*"), *models_dir.glob("*/*"))
        if path.is_dir()
    }


def open_entry(source: Source, place: str) -> Entry:
    """What lies in a place, opened and tested; a reason where it cannot serve."""
    folder = source.models_dir / place
    fingerprint: Fingerprint = ()
    try:
        fingerprint = take_fingerprint(folder)
        return Entry(fingerprint, open_model(folder, source.choice, source.limits))
    except BlitzError as error:
        return Entry(fingerprint, reason=hide_folders(str(error), source.models_dir))
    except Exception as error:  # whatever a runtime raises on one model, the others serve
        reason = f"{type(error).__name__}: {error}"
        return Entry(fingerprint, reason=hide_folders(reason, source.models_dir))


def hide_folders(text: str, models_dir: Path) -> str:
    """What callers may read: paths below the models folder from there on, of any other file its name.

    >>> hide_folders("/srv/models/ash/fp32.onnx: no /usr/lib/libgpu.so", Path("/srv/models"))
    'ash/fp32.onnx: no libgpu.so'
    """
    for folder in (models_dir.resolve(), models_dir.absolute(), models_dir):
        text = text.replace(f"{folder}/", "")
    return _FOLDERS.sub("", text)


def open_entries(source: Source, places: Collection[str], before: Entries) -> dict[str, Entry]:
    """The entries with these places opened anew, side by side; where that fails, what was there goes on."""
    with ThreadPoolExecutor(source.choice.slots) as threads:
        opened = dict(zip(places, threads.map(partial(open_entry, source), places), strict=True))
    entries = dict(before)
    for place, entry in opened.items():
        new = _refuse_twin(entry, {other: each for other, each in entries.items() if other != place})
        if new.segmenter is None and place in before:
            new = replace(new, segmenter=before[place].segmenter)
        entries[place] = new
    return entries


def _refuse_twin(entry: Entry, others: Entries) -> Entry:
    """The entry, closed and with a reason where another serves the same version of the same model."""
    if entry.segmenter is None:
        return entry
    card = entry.segmenter.card
    for place, other in others.items():
        twin = other.segmenter and other.segmenter.card
        if twin and (card.name, card.version) == (twin.name, twin.version):
            entry.segmenter.close()
            reason = f"{card.name} {card.version} is already served from {place}"
            return Entry(entry.fingerprint, reason=reason)
    return entry
