"""What each file of a model folder loses and gains: a row per runtime and precision.

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
from service.inference.card import Card, Latency, read_card
from service.inference.images import letterbox
from service.inference.segmenter import Segmenter, open_model
from service.types import Heads, Pixels, Size
from training.data.datasets import find_split
from training.data.training_set import read_image
from training.data.validate import read_content
from training.evaluation.evaluate import Verdict, detect, judge, parse_ids, summarise
from training.evaluation.matching import Record
from training.evaluation.tables import Row, draw_categories, draw_rows, fill_marks
from training.options import Categories, Data, Model, spell_command

TIMED = 50  # inferences


@dataclass(frozen=True, slots=True)
class Exam:
    """What is measured on which data.

    categories: ids that the means are over, as text. threads: of one inference. pictures: those that heads
        are compared on.
    """

    folder: Path
    data: Path
    split: str = "val"
    categories: str = ""
    threads: int = 1
    pictures: int = 16

    def command(self) -> str:
        """What makes the same rows again, for the card."""
        options = {
            "--data": self.data,
            "--split": self.split,
            "--categories": self.categories,
            "--threads": self.threads,
            "--pictures": self.pictures,
        }
        return spell_command("parity", [self.folder], options=options)


@dataclass(frozen=True, slots=True)
class Trial:
    """What every file is put through.

    canvases: uint8 [N, H, W, 3], letterboxed. categories: those the APs are the mean over; None for all.
    """

    content: Record
    images: Path
    canvases: Pixels
    categories: frozenset[int] | None
    threads: int


def run_exam(exam: Exam) -> list[Row]:
    """A row for each file of the folder's card."""
    place = find_split(exam.data, exam.split)
    content = read_content(place.annotations)
    paths = [place.images / image["file_name"] for image in content["images"][: exam.pictures]]
    canvases = read_canvases(paths, read_card(exam.folder).canvas)
    trial = Trial(content, place.images, canvases, parse_ids(exam.categories), exam.threads)
    return list(compare_files(exam.folder, trial))


def compare_files(folder: Path, trial: Trial) -> Iterator[Row]:
    """A row for each file of the card; the first file's heads are what the others are compared with."""
    reference: Heads | None = None
    for file in read_card(folder).files:
        choice = BackendChoice(runtime=file.runtime, precision=file.precision, threads=trial.threads)
        segmenter = open_model(folder, choice)
        try:
            heads = segmenter.backend.run(trial.canvases)
            reference = reference or heads
            yield Row(
                file=file,
                differences=largest_differences(heads, reference),
                milliseconds=time_frames(segmenter.backend, trial.canvases),
                verdict=_judge(segmenter, trial),
            )
        finally:
            segmenter.close()


def largest_differences(heads: Heads, reference: Heads) -> dict[str, float]:
    """The largest |difference| of each head, in its own unit."""
    return {name: float(abs(heads[name] - values).max()) for name, values in reference.items()}


def time_frames(backend: Backend, canvases: Pixels, count: int = TIMED) -> float:
    """Median milliseconds of one inference, batch 1."""
    backend.run(canvases[:1])
    laps = []
    for number in range(count):
        canvas = canvases[number % len(canvases)][None]
        started = time.perf_counter()
        backend.run(canvas)
        laps.append(1000 * (time.perf_counter() - started))
    return median(laps)


def _judge(segmenter: Segmenter, trial: Trial) -> Verdict:
    answers = detect(segmenter, trial.content, trial.images)
    info = segmenter.backend.describe()
    label = f"{info.runtime} {info.precision}"
    found = track(answers, label, len(trial.content["images"]), console=Console(stderr=True))
    return judge(trial.content, [item for detections in found for item in detections], trial.categories)


def name_processor(source: Path = Path("/proc/cpuinfo")) -> str:
    """The processor as Linux calls it, with the numbers that tell its generation; else its architecture."""
    try:
        described = dict(re.findall(r"^(\w[\w ]*?)\s*: (.+)$", source.read_text(), re.MULTILINE))
    except OSError:
        return platform.machine()
    name = described.get("model name") or described.get("Model") or platform.machine()
    numbers = [described.get(key) for key in ("cpu family", "model")]
    return f"{name} (family {numbers[0]} model {numbers[1]})" if all(numbers) else str(name)


def record_rows(rows: Sequence[Row], exam: Exam) -> Card:
    """Writes accuracies, latencies and the first row's best threshold into the folder's card.

    Its README gets the table too, where it has the marks between which it belongs.
    """
    hardware = name_processor()
    files = tuple(
        row.file.model_copy(
            update={
                "accuracy": summarise(row.verdict, f"{exam.data.name} {exam.split}", exam.command()),
                "latency": Latency(
                    hardware=hardware, threads=exam.threads, milliseconds=round(row.milliseconds, 2)
                ),
            }
        )
        for row in rows
    )
    card = read_card(exam.folder)
    decoder = card.decoder.model_copy(update={"score_threshold": round(rows[0].verdict.threshold, 2)})
    card = card.model_copy(update={"files": files, "decoder": decoder})
    _replace(exam.folder / "card.json", card.model_dump_json(indent=2) + "\n")
    readme = exam.folder / "README.md"
    if readme.exists():
        tables = {"files": draw_rows(rows), "categories": draw_categories(rows[0].verdict)}
        _replace(readme, fill_marks(readme.read_text(), tables))
    return card


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(text)
    draft.replace(path)


def read_canvases(paths: Sequence[Path], canvas: Size) -> Pixels:
    """Pictures as the service would feed them to the network: uint8 [N, H, W, 3]."""
    return np.stack([letterbox(read_image(path), canvas)[0] for path in paths])


def parity(
    folder: Model,
    data: Data,
    split: Annotated[str, typer.Option(help="Which split of the data.")] = "val",
    categories: Categories = "",
    threads: Annotated[int, typer.Option(help="Threads of one inference.", min=1)] = 1,
    pictures: Annotated[int, typer.Option(help="How many to compare heads on.", min=1)] = 16,
    out: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
    record: Annotated[
        bool, typer.Option(help="Write the figures and the best threshold into the model's card.")
    ] = False,
) -> None:
    """Compare a model's files: heads, average precision, time and size, as a Markdown table."""
    exam = Exam(folder, data, split, categories, threads, pictures)
    rows = run_exam(exam)
    typer.echo(draw_rows(rows))
    if out is not None:
        out.write_text(json.dumps([row.to_json() for row in rows], indent=1) + "\n")
    if record:
        record_rows(rows, exam)
