"""The speed of every file of every model on this machine."""

import math
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from service.errors import BlitzError
from service.inference.backends import BackendChoice, choose_file
from service.inference.backends.base import FILES, PACKAGES
from service.inference.card import ArtifactFile, Card, read_card
from service.inference.golden import draw_picture
from service.inference.segmenter import Segmenter, open_model
from service.serving.repository import Source

ENOUGH_S = 0.3  # of runs after the first, which warms up
MOST_RUNS = 30


@dataclass(frozen=True, slots=True)
class Benchmark:
    """The milliseconds of one inference with one file of a model (NaN: not measured), or the fault.

    serves: this file answers with the present settings, or would answer if it had no fault.
    alone_ms: on the threads of an inference that has the machine to itself; crowded_ms: on the threads of
        one slot; asked, in_effect: the providers or delegates that were asked for, and those that compute.
    """

    place: str
    runtime: str
    precision: str
    serves: bool = False
    alone_ms: float = math.nan
    crowded_ms: float = math.nan
    asked: tuple[str, ...] = ()
    in_effect: tuple[str, ...] = ()
    fault: str | None = None


def measure_models(source: Source) -> Iterator[Benchmark]:
    """A benchmark for every file of every model folder; one for the folder where its card cannot be read."""
    for place, folder in source.find_folders().items():
        try:
            card = read_card(folder)
        except BlitzError as error:
            yield Benchmark(place, "", "", fault=str(error))
            continue
        chosen = _find_chosen(source, place, card)
        for file in card.files:
            yield _measure_file(source, place, file, serves=file == chosen)


def _measure_file(source: Source, place: str, file: ArtifactFile, *, serves: bool) -> Benchmark:
    benchmark = Benchmark(place, file.runtime, file.precision, serves)
    try:
        segmenter = open_model(source.models_dir / place, _narrow(source.choice, file, serves=serves))
    except Exception as error:  # runtimes raise errors of their own
        return replace(benchmark, fault=str(error) or type(error).__name__)
    try:
        alone, crowded = (_measure(segmenter, crowded=each) for each in (False, True))
        info = segmenter.backend.describe()
        return replace(
            benchmark, alone_ms=alone, crowded_ms=crowded, asked=info.asked, in_effect=info.in_effect
        )
    finally:
        segmenter.close()


def _find_chosen(source: Source, place: str, card: Card) -> ArtifactFile | None:
    """The file that answers. Where the model cannot be opened, the file that the settings choose."""
    try:
        segmenter = open_model(source.models_dir / place, replace(source.choice, slots=1))
    except Exception:  # the same error is reported when that file is measured
        with suppress(BlitzError):
            return choose_file(card, source.choice)
        return None
    info = segmenter.backend.describe()
    segmenter.close()
    kind = FILES[PACKAGES[info.runtime]]
    precision = "fp32" if info.precision == "bf16" else info.precision
    return next(each for each in card.files if (each.runtime, each.precision) == (kind, precision))


def _narrow(choice: BackendChoice, file: ArtifactFile, *, serves: bool) -> BackendChoice:
    """The settings' choice for one file; providers and delegates are only for the file that serves."""
    named = choice.runtime != "auto" and FILES[choice.runtime] == file.runtime
    return replace(
        choice,
        runtime=choice.runtime if named else file.runtime,
        precision=choice.precision if serves and choice.precision == "bf16" else file.precision,
        providers=choice.providers if serves else (),
        delegates=choice.delegates if serves else (),
        slots=1,
    )


def _measure(segmenter: Segmenter, *, crowded: bool) -> float:
    """The median milliseconds of one inference."""
    pixels = draw_picture(segmenter.card.canvas, seed=1)[None]
    segmenter.backend.run(pixels, crowded=crowded)
    times: list[float] = []
    while len(times) < MOST_RUNS and sum(times) < ENOUGH_S:
        begun = time.perf_counter()
        segmenter.backend.run(pixels, crowded=crowded)
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1000
