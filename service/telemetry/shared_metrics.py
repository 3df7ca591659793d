"""Metrics of several workers: each publishes its numbers in memory that all share, and a scrape adds them up.

The workers inherit the memory from their parent. No file is involved, so that a full disk, or an emptied
folder of temporary files, harms no request. A worker that is killed loses what it has counted since it last
published, and nothing else: its successor in the same place goes on from there.
"""

import mmap
import pickle
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Labels: TypeAlias = tuple[tuple[str, str], ...]
Sample: TypeAlias = tuple[str, Labels]
Together: TypeAlias = Literal["sum", "max", "min"]

BUFFER_BYTES = 4_000_000  # of which only the used part takes memory
GENERATION, HEAD = struct.Struct("Q"), struct.Struct("QQ")
PLACE_BYTES = GENERATION.size + 2 * (HEAD.size + BUFFER_BYTES)
PLACE_BYTES += -PLACE_BYTES % mmap.PAGESIZE
ATTEMPTS = 3  # to read while another process writes


@dataclass(frozen=True, slots=True)
class Family:
    """The samples of one metric.

    together: the way to combine those of several workers. lasting: they stay when their worker ends.
    """

    name: str
    text: str
    kind: str
    together: Together
    lasting: bool
    samples: dict[Sample, float]


class SharedMetrics:
    """A place for the families of each worker; made by the parent before it forks."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._memory = mmap.mmap(-1, places * PLACE_BYTES)

    def publish(self, place: int, families: Sequence[Family]) -> None:
        """Replace the families of a place; what is too large is not published, and the old ones stay.

        Two buffers take turns, so that a writer that is killed leaves the other one whole.
        """
        data = pickle.dumps(families)
        if len(data) > BUFFER_BYTES:
            return
        generation = self._generation(place) + 1
        start = self._buffer(place, generation)
        self._memory[start + HEAD.size : start + HEAD.size + len(data)] = data
        HEAD.pack_into(self._memory, start, len(data), zlib.crc32(data))
        GENERATION.pack_into(self._memory, place * PLACE_BYTES, generation)

    def read(self, place: int) -> Sequence[Family]:
        """The families that were last published in a place; none where nothing was."""
        for _ in range(ATTEMPTS):
            start = self._buffer(place, self._generation(place))
            length, checksum = HEAD.unpack_from(self._memory, start)
            data = self._memory[start + HEAD.size : start + HEAD.size + length]
            if length and zlib.crc32(data) == checksum:
                families: Sequence[Family] = pickle.loads(data)  # our own processes wrote it
                return families
        return ()

    def retire(self, place: int) -> None:
        """Drop what ended with the worker of a place, such as its slots; the parent calls this."""
        self.publish(place, [family for family in self.read(place) if family.lasting])

    def _generation(self, place: int) -> int:
        generation: int = GENERATION.unpack_from(self._memory, place * PLACE_BYTES)[0]
        return generation

    @staticmethod
    def _buffer(place: int, generation: int) -> int:
        return place * PLACE_BYTES + GENERATION.size + generation % 2 * (HEAD.size + BUFFER_BYTES)


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """One worker's place in the memory of all."""

    shared: SharedMetrics
    number: int

    def publish(self, families: Sequence[Family]) -> None:
        self.shared.publish(self.number, families)

    def read(self) -> Sequence[Family]:
        """The families of this place."""
        return self.shared.read(self.number)

    def read_all(self) -> list[Family]:
        """The families of all workers, combined."""
        return combine(self.shared.read(place) for place in range(self.shared.places))


def combine(workers: Iterable[Sequence[Family]]) -> list[Family]:
    """Each family once, with the samples of all workers.

    >>> family = Family("f", "", "counter", "sum", True, {("f_total", ()): 2.0})
    >>> combine([[family], [family], []])[0].samples
    {('f_total', ()): 4.0}
    """
    found: dict[str, Family] = {}
    for family in (family for families in workers for family in families):
        if family.name not in found:
            found[family.name] = replace(family, samples={})
        samples = found[family.name].samples
        for sample, value in family.samples.items():
            samples[sample] = _put_together(family.together, samples.get(sample), value)
    return list(found.values())


def _put_together(together: Together, first: float | None, second: float) -> float:
    if first is None:
        return second
    return {"sum": first + second, "max": max(first, second), "min": min(first, second)}[together]
