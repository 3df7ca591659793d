"""From a checkpoint to a model folder as it is shipped: each file exported, judged, timed, on the card."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer

from service.inference.card import ArtifactFile, Card, Runtime, read_card
from service.types import Precision, Size
from training.data.datasets import find_split
from training.evaluation.tables import draw_rows
from training.export.model_folder import Title, export_model
from training.export.parity import Exam, record_rows, run_exam
from training.export.precisions import FLOAT_HEADS, WRITERS, Source, Writer, add_precisions, read_calibration
from training.options import Categories, Checkpoint, Data, Destination, Side
from training.session import load_network

SHIPPED = "onnx int8,tflite fp16,tflite int8"  # fp16 in ONNX is for GPUs: `quantize` adds it


def release(
    checkpoint: Checkpoint,
    folder: Destination,
    data: Data,
    version: Annotated[str, typer.Option(help="The model's version.")],
    description: Annotated[str, typer.Option(help="One sentence; that of the folder's card if empty.")] = "",
    categories: Categories = "",
    files: Annotated[str, typer.Option(help="What to add to fp32, with commas.")] = SHIPPED,
    pictures: Annotated[int, typer.Option(help="Training pictures to calibrate on.", min=1)] = 128,
    side: Side = 320,
) -> None:
    """Export, quantise, judge and time a checkpoint; the card gets every figure and the best threshold."""
    writers = choose_writers(files)
    exam = Exam(folder, data, categories=categories)
    lessons, _ = find_split(data, "train"), find_split(data, exam.split)  # before the export's minutes
    network, labels = load_network(checkpoint)
    canvas = Size(side, side)
    sentence = description or _known_description(folder) or "BlitzMask."
    before = _read_files(folder)
    export_model(network, Title(folder.name, version, sentence, labels, canvas), folder)
    canvases = read_calibration(lessons, canvas, pictures)
    _drop_unlisted(folder, add_precisions(Source(folder, canvases, FLOAT_HEADS), writers), before)
    rows = run_exam(exam)
    typer.echo(draw_rows(rows))
    record_rows(rows, exam)


def choose_writers(text: str) -> Mapping[tuple[Runtime, Precision], Writer]:
    """
    >>> list(choose_writers("tflite int8, onnx fp16"))
    [('onnx', 'fp16'), ('tflite', 'int8')]
    """
    asked = {tuple(name.split()) for name in text.split(",") if name.strip()}
    if unknown := asked - set(WRITERS):
        names = ", ".join(" ".join(each) for each in sorted(unknown))
        offered = ", ".join(" ".join(kind) for kind in WRITERS)
        raise typer.BadParameter(f"there is no {names}, only {offered}")
    return MappingProxyType({kind: write for kind, write in WRITERS.items() if kind in asked})


def _known_description(folder: Path) -> str:
    return read_card(folder).description if (folder / "card.json").exists() else ""


def _read_files(folder: Path) -> tuple[ArtifactFile, ...]:
    return read_card(folder).files if (folder / "card.json").exists() else ()


def _drop_unlisted(folder: Path, card: Card, before: tuple[ArtifactFile, ...]) -> None:
    """Removes files of the former version that this one does not have."""
    for path in {file.path for file in before} - {file.path for file in card.files}:
        (folder / path).unlink(missing_ok=True)
