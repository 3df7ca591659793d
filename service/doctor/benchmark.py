"""Every file of every model, run on this machine."""

import math
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from service.errors import BlitzError
from service.inference.backends import BackendChoice, choose_file
from service.inference.card import ArtifactFile, Card, read_card
from service.inference.golden import draw_picture
from service.inference.segmenter import Segmenter, open_model
from service.serving.repository import Source

ENOUGH_S = 0.3  # of runs after a warm one
MOST_RUNS = 30


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one file of a model: the milliseconds of an inference, or why there is none (NaN).

    serves: it is the file that answers with the settings as they are, or that would have to.
    alone_ms: on the threads of an inference that has the machine for itself; crowded_ms: on those of one of
        many; asked, in_effect: the providers or delegates that were to compute, and those that did.
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


def try_models(source: Source) -> Iterator[Trial]:
    """A trial for every file of every folder, or for the folder, where it cannot be read."""
    for place, folder in source.find_folders().items():
        try:
            card = read_card(folder)
        except BlitzError as error:
            yield Trial(place, "", "", fault=str(error))
            continue
        chosen = _find_chosen(source, place, card)
        for file in card.files:
            yield _try_file(source, place, file, serves=file == chosen)


def _try_file(source: Source, place: str, file: ArtifactFile, *, serves: bool) -> Trial:
    trial = Trial(place, file.runtime, file.precision, serves)
    try:
        segmenter = open_model(source.models_dir / place, _narrow(source.choice, file, serves=serves))
    except Exception as error:  # a runtime's own: that too is what becomes of the file
        return replace(trial, fault=str(error) or type(error).__name__)
    try:
        alone, crowded = (_measure(segmenter, crowded=each) for each in (False, True))
        info = segmenter.backend.describe()
        return replace(trial, alone_ms=alone, crowded_ms=crowded, asked=info.asked, in_effect=info.in_effect)
    finally:
        segmenter.close()


def _find_chosen(source: Source, place: str, card: Card) -> ArtifactFile | None:
    """The file that answers, as opening the model tells; where it cannot be opened, the one to blame."""
    try:
        segmenter = open_model(source.models_dir / place, replace(source.choice, slots=1))
    except Exception:  # it comes again, and is told, when that file is tried
        with suppress(BlitzError):
            return choose_file(card, source.choice)
        return None
    info = segmenter.backend.describe()
    segmenter.close()
    runtime = "onnx" if info.runtime == "onnxruntime" else "tflite"
    return next(each for each in card.files if (each.runtime, each.precision) == (runtime, info.precision))


def _narrow(choice: BackendChoice, file: ArtifactFile, *, serves: bool) -> BackendChoice:
    """The settings' choice, with its providers or delegates only for the file that they are meant for."""
    return replace(
        choice,
        runtime=file.runtime,
        precision=file.precision,
        providers=choice.providers if serves else (),
        delegates=choice.delegates if serves else (),
        slots=1,
    )


def _measure(segmenter: Segmenter, *, crowded: bool) -> float:
    """The median milliseconds of an inference."""
    pixels = draw_picture(segmenter.card.canvas, seed=1)[None]
    segmenter.backend.run(pixels, crowded=crowded)
    times: list[float] = []
    while len(times) < MOST_RUNS and sum(times) < ENOUGH_S:
        begun = time.perf_counter()
        segmenter.backend.run(pixels, crowded=crowded)
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1000
