"""The models folder: which model folders it holds, which of them serve, and why the others do not."""

import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from service.errors import BlitzError, InvalidCard
from service.inference.backends import BackendChoice
from service.inference.images import Limits
from service.inference.model import Model
from service.inference.segmenter import open_model

DEFAULT_FILE = "DEFAULT"  # in the models folder: the name of the default model

_DEFAULT_BYTES = 1000
_NO_MODELS = frozenset({"lost+found", "__pycache__"})
_FOLDERS = re.compile(r"(?<![^\s'\"(\[:=])/(?:[^\s/'\"]+/)+")  # in front of a file's name

OpenModel: TypeAlias = Callable[[Path, BackendChoice, Limits], Model]
Fingerprint: TypeAlias = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """The models folder and the choice of how to open models; `default` None: the file DEFAULT names it."""

    models_dir: Path
    default: str | None
    choice: BackendChoice
    limits: Limits
    open_model: OpenModel = open_model

    def read_default(self) -> str | None:
        """The name of the default model, None where nothing names one.

        Raises InvalidCard where the file DEFAULT cannot be read as text.
        """
        path = self.models_dir / DEFAULT_FILE
        if self.default or not path.is_file():
            return self.default
        try:
            with path.open("rb") as file:
                return file.read(_DEFAULT_BYTES).decode("utf-8-sig").strip() or None
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidCard(
                f"the models folder's {DEFAULT_FILE} cannot be read as text: {error}"
            ) from error

    def find_folders(self) -> dict[str, Path]:
        """The folders NAME and NAME/VERSION that hold a card.json, by their printable place.

        Hidden folders are passed over, as those of trash cans and of mounted Kubernetes volumes. A folder
        that is reached by several names counts once.
        """
        found: dict[str, Path] = {}
        seen = set[str]()
        for folder in self._list_candidates():
            real = os.path.realpath(folder)
            if os.path.lexists(folder / "card.json") and real not in seen:
                seen.add(real)
                found[make_printable(folder.relative_to(self.models_dir).as_posix())] = folder
        return found

    def _list_candidates(self) -> list[Path]:
        names = _list_folders(self.models_dir)
        return sorted([*names, *(version for name in names for version in _list_folders(name))])


@dataclass(frozen=True, slots=True)
class Entry:
    """One model folder: the model that serves from it, and the reason why its present content does not.

    Both are set where new content was refused and the model that was loaded before keeps serving; neither is
    set where the model was unloaded.
    """

    fingerprint: Fingerprint
    segmenter: Model | None = None
    reason: str | None = None

    @property
    def is_unloaded(self) -> bool:
        return self.segmenter is None and self.reason is None


Entries: TypeAlias = Mapping[str, Entry]


def take_fingerprint(folder: Path) -> Fingerprint:
    """Names, sizes and times of change (ns) of a folder's files: differs when one of them has changed.

    A link to nothing counts by itself. A folder that cannot be listed has an empty fingerprint.
    """
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return ()
    return tuple(_take_status(path) for path in paths)


def take_census(models_dir: Path) -> dict[str, Fingerprint]:
    """The fingerprint of every file and folder of the models folder: differs when one has changed."""
    names = _list_folders(models_dir)
    folders = [models_dir, *names, *(version for name in names for version in _list_folders(name))]
    return {path.as_posix(): take_fingerprint(path) for path in folders}


def open_entry(source: Source, folder: Path) -> Entry:
    """The model of a folder, opened and tested, or the reason why it cannot serve."""
    fingerprint = take_fingerprint(folder)
    try:
        str(folder.relative_to(source.models_dir)).encode()
    except UnicodeEncodeError:
        return Entry(fingerprint, reason="the folder's name is not UTF-8: rename it")
    try:
        return Entry(fingerprint, source.open_model(folder, source.choice, source.limits))
    except BlitzError as error:
        return Entry(fingerprint, reason=hide_folders(str(error), source.models_dir))
    except Exception as error:  # a runtime may raise anything; the other models still serve
        reason = f"{type(error).__name__}: {error}"
        return Entry(fingerprint, reason=hide_folders(reason, source.models_dir))


def hide_folders(text: str, models_dir: Path) -> str:
    """The text as callers may read it: paths relative to the models folder, of other files the name only.

    >>> hide_folders("/srv/models/ash/fp32.onnx: no /usr/lib/libgpu.so", Path("/srv/models"))
    'ash/fp32.onnx: no libgpu.so'
    """
    for folder in (models_dir.resolve(), models_dir.absolute(), models_dir):
        text = text.replace(f"{folder}/", "")
    return make_printable(_FOLDERS.sub("", text))


def make_printable(text: str) -> str:
    r"""The text with escapes for bytes that are not UTF-8, which neither JSON nor a log can hold.

    >>> make_printable("m\udcff")
    'm\\udcff'
    """
    return text.encode("utf-8", "backslashreplace").decode()


def open_entries(source: Source, folders: Mapping[str, Path], before: Entries) -> dict[str, Entry]:
    """`before` with these folders opened again, in parallel.

    Where a folder's new content cannot serve, the model that was loaded before keeps serving.
    """
    with ThreadPoolExecutor(source.choice.slots) as threads:
        opened = list(threads.map(lambda folder: open_entry(source, folder), folders.values()))
    entries = dict(before)
    for place, entry in zip(folders, opened, strict=True):
        new = _refuse_twin(entry, {other: each for other, each in entries.items() if other != place})
        if new.segmenter is None and place in before:
            new = replace(new, segmenter=before[place].segmenter)
        entries[place] = new
    return entries


def _list_folders(folder: Path) -> list[Path]:
    """The folders within, links to folders included; none where it cannot be listed."""
    try:
        with os.scandir(folder) as found:
            return [folder / each.name for each in found if _may_hold_a_model(each)]
    except OSError:
        return []


def _may_hold_a_model(each: "os.DirEntry[str]") -> bool:
    if each.name.startswith(".") or each.name in _NO_MODELS:
        return False
    try:
        return each.is_dir()
    except OSError:  # a link to itself
        return False


def _take_status(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:  # a link to nothing or to itself, or the file has just gone
        try:
            status = path.lstat()
        except OSError:
            return path.name, 0, 0
    return path.name, status.st_size, status.st_mtime_ns


def _refuse_twin(entry: Entry, others: Entries) -> Entry:
    """The entry, but closed and with a reason where another folder serves the same version of the model."""
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
