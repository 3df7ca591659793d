"""Finds the Segmenter of a model name and version.

A catalog is immutable: loading, unloading and refreshing make another one, which shares the models that stay.
So a request that holds a model can finish with it, and the model is freed after the last such request.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from service.errors import InvalidCard, ModelNotFound, ModelRefused
from service.inference.backends import BackendChoice
from service.inference.images import Limits
from service.inference.model import Model
from service.inference.segmenter import open_model
from service.serving.repository import Entries, Entry, OpenModel, Source, open_entries, take_fingerprint

GONE = "its folder is gone; the model that was loaded from it keeps serving"


class Catalog:
    """The models that serve, why other folders do not (`failures`), and the folders that are `unloaded`."""

    def __init__(self, entries: Entries, source: Source) -> None:
        """Raises InvalidCard when the default model does not serve."""
        self._entries = entries
        self._source = source
        self._default = source.read_default()
        self.failures = {place: entry.reason for place, entry in entries.items() if entry.reason}
        self.unloaded = tuple(place for place, entry in entries.items() if entry.is_unloaded)
        self._segmenters = _sort(
            [each.segmenter for each in entries.values() if each.segmenter], self._default
        )
        names = list(dict.fromkeys(each.card.name for each in self._segmenters))
        if not names or self._default not in (None, *names):
            raise InvalidCard(_explain_missing(source, names, self.failures))

    @classmethod
    def load(
        cls,
        models_dir: Path,
        *,
        default: str | None,
        choice: BackendChoice,
        limits: Limits,
        open_model: OpenModel = open_model,
    ) -> "Catalog":
        """Every model that can serve, from the folders NAME and NAME/VERSION in `models_dir`.

        The default model is `default`, else the one that the file DEFAULT names, else the first by name.
        Raises InvalidCard when it does not serve.
        """
        source = Source(models_dir, default, choice, limits, open_model)
        entries = open_entries(source, source.find_folders(), {})
        try:
            return cls(entries, source)
        except InvalidCard:
            _close_all(entries)
            raise

    def get(self, name: str | None = None, version: str | None = None) -> Model:
        """The named model or the default one, in this or its newest version; raises ModelNotFound."""
        wanted = name or self._segmenters[0].card.name
        for segmenter in self._segmenters:
            if segmenter.card.name == wanted and version in (None, segmenter.card.version):
                return segmenter
        offered = ", ".join(f"{each.card.name} {each.card.version}" for each in self._segmenters)
        raise ModelNotFound(f"there is no model {_describe(wanted, version)}, only {offered}")

    def models(self) -> tuple[Model, ...]:
        """All models: the default first, then by name, newest version first."""
        return self._segmenters

    def refreshed(self) -> "Catalog":
        """The catalog of the folders as they are now; this one where nothing has changed.

        New and changed folders are opened, and models whose folder is gone are left out. Only the default
        model stays without its folder. Raises InvalidCard where the file DEFAULT names a model that does not
        serve.
        """
        folders = self._source.find_folders()
        changed = {place: folder for place, folder in folders.items() if self._has_changed(place, folder)}
        gone = [place for place in self._entries if place not in folders and self.failures.get(place) != GONE]
        if not changed and not gone and self._default == self._source.read_default():
            return self
        left = {place: entry for place, entry in self._entries.items() if place in folders}
        entries = open_entries(self._source, changed, left)
        try:
            return Catalog(entries, self._source)
        except InvalidCard:
            kept = {
                place: replace(self._entries[place], reason=GONE)
                for place in self._entries
                if place not in folders and place not in self.unloaded
            }
            return Catalog(entries | kept, self._source)

    def with_model(self, name: str) -> "Catalog":
        """The catalog with the folders of a model opened again, even those that have not changed.

        Where a folder cannot serve, the model that was loaded from it before keeps serving, and `check`
        raises. Raises ModelNotFound where there is no such folder.
        """
        folders = self._source.find_folders()
        wanted = {place: folder for place, folder in folders.items() if self._belongs(place, name)}
        if not wanted:
            raise ModelNotFound(f"the models folder has no folder {name} with a card.json")
        return Catalog(open_entries(self._source, wanted, self._entries), self._source)

    def check(self, name: str) -> None:
        """Raises ModelRefused, with the reasons, where a folder of this model cannot serve as it is now."""
        refused = {place: why for place, why in self.failures.items() if self._belongs(place, name)}
        if refused:
            raise ModelRefused("; ".join(f"{place}: {why}" for place, why in refused.items()))

    def without_model(self, name: str, version: str | None = None) -> "Catalog":
        """The catalog without a model, or one version of it, until it is loaded again or its folder changes.

        Raises ModelNotFound, and ModelRefused where the default model would be gone.
        """
        self.get(name, version)
        entries = dict(self._entries)
        for place, entry in self._entries.items():
            if _is_of(entry, name, version):
                entries[place] = replace(entry, segmenter=None, reason=None)
        default = self._segmenters[0].card.name
        if not any(_is_of(entry, default, None) for entry in entries.values()):
            raise ModelRefused(f"{name} is the default model, which has to stay")
        return Catalog(entries, self._source)

    def _has_changed(self, place: str, folder: Path) -> bool:
        entry = self._entries.get(place)
        return entry is None or entry.fingerprint != take_fingerprint(folder)

    def _belongs(self, place: str, name: str) -> bool:
        entry = self._entries.get(place)
        return place.partition("/")[0] == name or (entry is not None and _is_of(entry, name, None))


def version_key(version: str) -> tuple[tuple[int, str], ...]:
    """A sort key by which versions ascend as people count: numbers by value, the rest by letter.

    >>> sorted(["1.10", "1.9", "2", "1.9.1"], key=version_key)
    ['1.9', '1.9.1', '1.10', '2']
    """
    parts = re.findall(r"[0-9]+|[^0-9.]+", version)
    return tuple(_number_key(part.lstrip("0")) if part[0].isdecimal() else (-1, part) for part in parts)


def _number_key(digits: str) -> tuple[int, str]:
    """Compares as the number does, of any length: more digits are more, and of as many the text decides."""
    return len(digits), digits


def _sort(segmenters: Sequence[Model], default: str | None) -> tuple[Model, ...]:
    """The models in the order of `Catalog.models`."""
    newest_first = sorted(segmenters, key=lambda each: version_key(each.card.version), reverse=True)
    return tuple(sorted(newest_first, key=lambda each: (each.card.name != default, each.card.name)))


def _is_of(entry: Entry, name: str, version: str | None) -> bool:
    if entry.segmenter is None:
        return False
    card = entry.segmenter.card
    return card.name == name and version in (None, card.version)


def _close_all(entries: Entries) -> None:
    for entry in entries.values():
        if entry.segmenter is not None:
            entry.segmenter.close()


def _describe(name: str, version: str | None) -> str:
    return f"{name:.80} {version:.40}" if version else f"{name:.80}"


def _explain_missing(source: Source, names: Sequence[str], failures: Mapping[str, str]) -> str:
    default = source.read_default()
    missing = f"the default model {default} does not serve" if default else "no model serves"
    offered = f"; there is {', '.join(names)}" if names else ""
    reasons = "".join(f"; {folder}: {reason}" for folder, reason in failures.items())
    hint = "" if names or failures else _explain_empty(source.models_dir)
    return missing + hint + offered + reasons


def _explain_empty(models_dir: Path) -> str:
    fault = "it holds no folder with a card.json" if models_dir.is_dir() else "there is no such folder"
    return f": BLITZ_MODELS_DIR={models_dir}: {fault}"
