"""A comparison of a model folder's files: differences of the heads, precision, time and size.

python -m training parity models/blitzmask-mobilenetv2 --data DATA
"""

import json
import platform
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

from service.inference.backends import Backend, BackendChoice
from service.inference.canvas import letterbox
from service.inference.card import Card, Latency, read_card
from service.inference.segmenter import Segmenter, open_model
from service.types import Heads, Pixels, Size
from training.data.datasets import find_split, read_split
from training.data.pictures import read_image
from training.evaluation.evaluate import Evaluation, detect, evaluate_detections, parse_ids, summarise
from training.evaluation.matching import Record
from training.evaluation.tables import Row, draw_categories, draw_rows, fill_marks
from training.options import Categories, Data, Model, spell_command

TIMED = 50  # inferences of each file


@dataclass(frozen=True, slots=True)
class ParityCheck:
    """The options of a comparison.

    categories: ids for the means, as text. threads: of one inference. pictures: the number for comparing
    heads.
    """

    folder: Path
    data: Path
    split: str = "val"
    categories: str = ""
    threads: int = 1
    pictures: int = 16

    def command(self) -> str:
        """The command that gives the same rows, for the card."""
        options = {
            "--data": self.data,
            "--split": self.split,
            "--categories": self.categories,
            "--threads": self.threads,
            "--pictures": self.pictures,
        }
        return spell_command("parity", [self.folder], options=options)


@dataclass(frozen=True, slots=True)
class ParityData:
    """The data for every file.

    canvases: uint8 [N, H, W, 3], letterboxed. categories: ids for the means; None for all.
    """

    content: Record
    images: Path
    canvases: Pixels
    categories: frozenset[int] | None
    threads: int


def run_check(check: ParityCheck) -> list[Row]:
    """A row for each file of the model."""
    place = find_split(check.data, check.split)
    content, _ = read_split(place, "skip")
    paths = [place.images / image["file_name"] for image in content["images"][: check.pictures]]
    canvases = read_canvases(paths, read_card(check.folder).canvas)
    parity_data = ParityData(content, place.images, canvases, parse_ids(check.categories), check.threads)
    return list(compare_files(check.folder, parity_data))


def compare_files(folder: Path, parity_data: ParityData) -> Iterator[Row]:
    """A row for each file of the card; heads are compared with those of the first file."""
    reference: Heads | None = None
    for file in read_card(folder).files:
        choice = BackendChoice(runtime=file.runtime, precision=file.precision, threads=parity_data.threads)
        segmenter = open_model(folder, choice)
        try:
            heads = segmenter.backend.run(parity_data.canvases)
            reference = reference or heads
            yield Row(
                file=file,
                differences=largest_differences(heads, reference),
                milliseconds=time_frames(segmenter.backend, parity_data.canvases),
                evaluation=_evaluate(segmenter, parity_data),
            )
        finally:
            segmenter.close()


def largest_differences(heads: Heads, reference: Heads) -> dict[str, float]:
    """The largest |difference| of each head, in the head's unit."""
    return {name: float(abs(heads[name] - values).max()) for name, values in reference.items()}


def time_frames(backend: Backend, canvases: Pixels, count: int = TIMED) -> float:
    """The median time of one inference with batch size 1, milliseconds."""
    backend.run(canvases[:1])
    laps = []
    for number in range(count):
        canvas = canvases[number % len(canvases)][None]
        started = time.perf_counter()
        backend.run(canvas)
        laps.append(1000 * (time.perf_counter() - started))
    return median(laps)


def _evaluate(segmenter: Segmenter, parity_data: ParityData) -> Evaluation:
    answers = detect(segmenter, parity_data.content, parity_data.images)
    info = segmenter.backend.describe()
    label = f"{info.runtime} {info.precision}"
    found = track(answers, label, len(parity_data.content["images"]), console=Console(stderr=True))
    return evaluate_detections(
        parity_data.content, [item for detections in found for item in detections], parity_data.categories
    )


def name_processor(source: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, family and model from /proc/cpuinfo; without that file, its architecture."""
    try:
        described = dict(re.findall(r"^(\w[\w ]*?)\s*: (.+)$", source.read_text(), re.MULTILINE))
    except OSError:
        return platform.machine()
    name = described.get("model name") or described.get("Model") or platform.machine()
    numbers = [described.get(key) for key in ("cpu family", "model")]
    return f"{name} (family {numbers[0]} model {numbers[1]})" if all(numbers) else str(name)


def record_rows(rows: Sequence[Row], check: ParityCheck) -> Card:
    """Writes accuracies, latencies and the first row's best threshold into the model's card.

    If the model's README has the marks for the tables, they are written there too.
    """
    hardware = name_processor()
    files = tuple(
        row.file.model_copy(
            update={
                "accuracy": summarise(row.evaluation, f"{check.data.name} {check.split}", check.command()),
                "latency": Latency(
                    hardware=hardware, threads=check.threads, milliseconds=round(row.milliseconds, 2)
                ),
            }
        )
        for row in rows
    )
    card = read_card(check.folder)
    decoder = card.decoder.model_copy(update={"score_threshold": round(rows[0].evaluation.threshold, 2)})
    card = card.model_copy(update={"files": files, "decoder": decoder})
    _replace(check.folder / "card.json", card.model_dump_json(indent=2) + "\n")
    readme = check.folder / "README.md"
    if readme.exists():
        tables = {"files": draw_rows(rows), "categories": draw_categories(rows[0].evaluation)}
        _replace(readme, fill_marks(readme.read_text(), tables))
    return card


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(text)
    draft.replace(path)


def read_canvases(paths: Sequence[Path], canvas: Size) -> Pixels:
    """Pictures, letterboxed as by the service: uint8 [N, H, W, 3]."""
    return np.stack([letterbox(read_image(path), canvas)[0] for path in paths])


def parity(
    folder: Model,
    data: Data,
    split: Annotated[str, typer.Option(help="The split of the data.")] = "val",
    categories: Categories = "",
    threads: Annotated[int, typer.Option(help="Threads of one inference.", min=1)] = 1,
    pictures: Annotated[int, typer.Option(help="Number of pictures for comparing heads.", min=1)] = 16,
    out: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
    record: Annotated[
        bool, typer.Option(help="Write the figures and the best threshold into the model's card.")
    ] = False,
) -> None:
    """Compare a model's files: heads, average precision, time and size, as a Markdown table."""
    check = ParityCheck(folder, data, split, categories, threads, pictures)
    rows = run_check(check)
    typer.echo(draw_rows(rows))
    if out is not None:
        out.write_text(json.dumps([row.to_json() for row in rows], indent=1) + "\n")
    if record:
        record_rows(rows, check)
