"""From a checkpoint to a complete model folder: all files exported, evaluated, timed, and on the card."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer

from service.inference.card import ArtifactFile, Card, FilePrecision, Runtime, read_card
from service.types import Size
from training.checkpoint import load_network
from training.data.datasets import find_split
from training.evaluation.tables import draw_rows
from training.export.model_folder import ModelInfo, export_model
from training.export.parity import ParityCheck, record_rows, run_check
from training.export.precisions import FLOAT_HEADS, WRITERS, Source, Writer, add_precisions, read_calibration
from training.options import Categories, Checkpoint, Data, Destination, Side

SHIPPED = "onnx int8,tflite fp16,tflite int8"  # fp16 in ONNX is for GPUs: `quantize` adds it


def release(
    checkpoint: Checkpoint,
    folder: Destination,
    data: Data,
    version: Annotated[str, typer.Option(help="The model's version.")],
    description: Annotated[str, typer.Option(help="One sentence; the present card's if empty.")] = "",
    categories: Categories = "",
    files: Annotated[str, typer.Option(help="Files to add to fp32, separated by commas.")] = SHIPPED,
    pictures: Annotated[int, typer.Option(help="Number of training pictures for calibration.", min=1)] = 128,
    side: Side = 320,
) -> None:
    """Export, quantise, evaluate and time a checkpoint; the card gets all figures and the best threshold."""
    writers = choose_writers(files)
    check = ParityCheck(folder, data, categories=categories)
    training_split = find_split(data, "train")
    find_split(data, check.split)  # a missing split is refused here, before the export takes minutes
    network, labels = load_network(checkpoint)
    canvas = Size(side, side)
    sentence = description or _known_description(folder) or f"{network.architecture.title}."
    before = _read_files(folder)
    export_model(network, ModelInfo(folder.name, version, sentence, labels, canvas), folder)
    canvases = read_calibration(training_split, canvas, pictures)
    _drop_unlisted(folder, add_precisions(Source(folder, canvases, FLOAT_HEADS), writers), before)
    rows = run_check(check)
    typer.echo(draw_rows(rows))
    record_rows(rows, check)


def choose_writers(text: str) -> Mapping[tuple[Runtime, FilePrecision], Writer]:
    """
    >>> list(choose_writers("tflite int8, onnx fp16"))
    [('onnx', 'fp16'), ('tflite', 'int8')]
    """
    asked = {tuple(name.split()) for name in text.split(",") if name.strip()}
    if unknown := asked - set(WRITERS):
        names = ", ".join(" ".join(each) for each in sorted(unknown))
        offered = ", ".join(" ".join(kind) for kind in WRITERS)
        raise typer.BadParameter(f"there is no {names}; there are {offered}")
    return MappingProxyType({kind: write for kind, write in WRITERS.items() if kind in asked})


def _known_description(folder: Path) -> str:
    return read_card(folder).description if (folder / "card.json").exists() else ""


def _read_files(folder: Path) -> tuple[ArtifactFile, ...]:
    return read_card(folder).files if (folder / "card.json").exists() else ()


def _drop_unlisted(folder: Path, card: Card, before: tuple[ArtifactFile, ...]) -> None:
    """Deletes files of the previous version that are not on the new card."""
    listed, known = ({part.path for file in files for part in file.parts} for files in (card.files, before))
    for path in known - listed:
        (folder / path).unlink(missing_ok=True)
