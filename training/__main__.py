"""python -m training: from labelled pictures to a model that the service loads, and what it is worth."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from service.errors import BlitzError
from service.inference.backends import BackendChoice, choose_file
from service.inference.backends.base import PrecisionChoice, RuntimeChoice
from service.inference.card import Runtime, read_card
from service.inference.segmenter import open_model
from service.types import Size
from training.checkpoint import CheckpointNotWritten, CheckpointRefused
from training.cohort import joined_cohort, name_launcher, own_rank
from training.command import spell_command
from training.complexity import complexity
from training.course import Diverged
from training.data import PictureFailed
from training.evaluate import detect, draw_table, judge, parse_ids, record_accuracy, summarise
from training.export import EXPORTERS, ExportMismatch, Title, export_model
from training.faults import BadData, DataRefused, describe_faults, read_content
from training.folder import find_split
from training.loader import WorkerDied
from training.material import read_material
from training.networks.pretrained import WeightsRefused
from training.options import Categories, Checkpoint, Data, Destination, Folders, Model, Side, check_numbers
from training.parity import parity
from training.precisions import FLOAT_HEADS, Source, add_precisions, read_calibration
from training.release import release
from training.session import Order, finish, learn
from training.settings import prepare_recipe
from training.shapes import shapes
from training.shrink import shrink_set
from training.soup import soup
from training.throughput import draw_speed, measure_speed
from training.train import load_network

FAILED, MISUSED = 1, 2
FAILURES = (CheckpointNotWritten, Diverged, ExportMismatch, WorkerDied)
MISUSES = (BlitzError, CheckpointRefused, DataRefused, FileNotFoundError, PictureFailed, WeightsRefused)


@contextmanager
def explained() -> Iterator[None]:
    """What is the user's to mend ends the command in a line instead of a traceback."""
    try:
        yield
    except (*FAILURES, *MISUSES) as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(MISUSED if isinstance(error, MISUSES) else FAILED) from error


app = typer.Typer(
    help="Train, export and evaluate the networks that the service serves.", no_args_is_help=True
)
for command in (complexity, parity, release, shapes, soup):
    app.command()(explained()(command))


@app.command()
@explained()
def train(
    data: Folders,
    recipe: Annotated[str, typer.Option(help="A module of training/recipes, or module:NAME.")] = "own",
    out: Annotated[
        Path | None,
        typer.Option(help="Takes all that comes of it, and goes on with it; runs/NAME."),
    ] = None,
    name: Annotated[str, typer.Option(help="The model's name; the data folder's if empty.")] = "",
    origin: Annotated[
        Path | None,
        typer.Option(help="Start from this model folder, checkpoint.pt or ImageNet .npz.", exists=True),
    ] = None,
    hours: Annotated[float | None, typer.Option(help="Length of the run, instead of the recipe's.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A field of the recipe: epochs=20, losses.eps2=0, ...")
    ] = None,
    bad_data: Annotated[
        BadData, typer.Option(help="Leave out what is wrong with the data, or stop.")
    ] = "skip",
    runtimes: Annotated[
        str, typer.Option(help="Files of the model, with commas; empty: none.")
    ] = "onnx,tflite",
) -> None:
    """Train a network, judge it, export it. Under torchrun every process takes its share of each batch."""
    chosen = prepare_recipe(recipe, settings or [], hours=hours, origin=origin)
    title = name or re.sub(r"[^A-Za-z0-9._-]+", "-", data[0].resolve().name).strip("-._") or "model"
    console = Console(stderr=True)
    material = read_material(data, bad_data, trust_absence=chosen.trust_absence)
    folder = out or Path("runs") / title
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "--data": data,
        "--recipe": recipe,
        "--out": out,
        "--name": name,
        "--origin": origin,
        "--hours": hours,
        "--set": settings,
        "--bad-data": bad_data,
        "--runtimes": runtimes,
    }
    command = spell_command("train", (), options=options, launcher=name_launcher())
    order = Order(title, chosen, material, folder, read_runtimes(runtimes), command)
    with joined_cohort():
        if own_rank() == 0 and material.faults:
            console.print(f"[yellow]Left out of the data:[/]\n{describe_faults(material.faults)}")
        learn(order)
        is_first = own_rank() == 0
    if is_first:
        report = finish(order, console)
        console.print(report.read_text().partition("\n![")[0], markup=False)
        console.print(f"report: {report}", markup=False)


@app.command()
@explained()
def throughput(
    data: Folders,
    recipe: Annotated[str, typer.Option(help="As for train.")] = "own",
    workers: Annotated[
        str, typer.Option(help="Numbers of loader processes to measure, with commas.", callback=check_numbers)
    ] = "1,2,4",
    seconds: Annotated[float, typer.Option(help="Of work for each figure.")] = 10.0,
    settings: Annotated[list[str] | None, typer.Option("--set", help="As for train.")] = None,
) -> None:
    """Measure whether loading and augmenting pictures keeps up with the network."""
    chosen = prepare_recipe(recipe, settings or [], hours=None, origin=None)
    lessons = read_material(data, "skip", trust_absence=chosen.trust_absence).lessons
    speed = measure_speed(chosen, lessons, [int(text) for text in workers.split(",")], seconds=seconds)
    Console().print(draw_speed(speed))


@app.command()
@explained()
def export(
    checkpoint: Checkpoint,
    folder: Destination,
    version: Annotated[str, typer.Option(help="The model's version.")] = "1.0.0",
    description: Annotated[str, typer.Option(help="One sentence for the card.")] = "BlitzMask.",
    threshold: Annotated[float, typer.Option(help="Default score threshold.", min=0, max=1)] = 0.3,
    side: Side = 320,
) -> None:
    """Export a checkpoint to ONNX and TFLite, checked against PyTorch, with its card."""
    network, labels = load_network(checkpoint)
    title = Title(folder.name, version, description, labels, Size(side, side), threshold)
    for file in export_model(network, title, folder).files:
        Console().print(f"{folder / file.path}: {file.bytes} bytes")


@app.command()
@explained()
def quantize(
    folder: Annotated[Path, typer.Argument(help="The model folder to add files to.", exists=True)],
    data: Data,
    split: Annotated[str, typer.Option(help="Split to calibrate on: training pictures.")] = "train",
    pictures: Annotated[int, typer.Option(help="How many of them.", min=1)] = 128,
    float_heads: Annotated[
        str, typer.Option(help="Heads whose last layer stays fp32 in INT8 files, with commas.")
    ] = ",".join(sorted(FLOAT_HEADS)),
) -> None:
    """Add fp16 and INT8 files to an exported model, calibrated on training pictures."""
    canvases = read_calibration(find_split(data, split), read_card(folder).canvas, pictures)
    heads = frozenset(filter(None, float_heads.split(",")))
    for file in add_precisions(Source(folder, canvases, heads)).files:
        Console().print(f"{folder / file.path}: {file.bytes} bytes")


@app.command()
@explained()
def evaluate(
    folder: Model,
    data: Data,
    split: Annotated[str, typer.Option(help="Which split of the data.")] = "val",
    runtime: Annotated[RuntimeChoice, typer.Option(help="Which of the model's files.")] = "auto",
    precision: Annotated[PrecisionChoice, typer.Option(help="Which of the model's files.")] = "auto",
    categories: Categories = "",
    out: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
    record: Annotated[bool, typer.Option(help="Write the figures into the model's card.")] = False,
) -> None:
    """Average precision of what the service answers with a model."""
    place = find_split(data, split)
    content = read_content(place.annotations)
    choice = BackendChoice(runtime=runtime, precision=precision, threads=2)
    segmenter = open_model(folder, choice)
    answers = detect(segmenter, content, place.images)
    total = len(content["images"])
    detections = [item for found in track(answers, "evaluating", total) for item in found]
    verdict = judge(content, detections, parse_ids(categories))
    Console().print(draw_table(verdict))
    Console().print(f"best F1 of masks at IoU 0.5: {verdict.f1:.3f} at score {verdict.threshold:.2f}")
    if out is not None:
        out.write_text(json.dumps(verdict.to_json(), indent=1) + "\n")
    if record:
        file = choose_file(segmenter.card, choice)
        options = {
            "--data": data,
            "--split": split,
            "--runtime": file.runtime,
            "--precision": file.precision,
            "--categories": categories,
        }
        command = spell_command("evaluate", [folder], options=options)
        record_accuracy(folder, file, summarise(verdict, f"{data.name} {split}", command))


@app.command()
@explained()
def shrink(
    data: Data,
    folder: Annotated[Path, typer.Argument(help="A new folder, for the copy.")],
    side: Annotated[int, typer.Option(help="Longest side of its pictures, pixels.", min=32)] = 320,
) -> None:
    """Copy a data set with smaller pictures, as JPEGs: less to read where canvases are small anyway."""
    for line in shrink_set(data, folder, side):
        typer.echo(line)


def read_runtimes(text: str) -> tuple[Runtime, ...]:
    """
    >>> read_runtimes("onnx,tflite"), read_runtimes("")
    (('onnx', 'tflite'), ())
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    runtimes = tuple(runtime for runtime in EXPORTERS if runtime in names)
    if unknown := set(names) - set(runtimes):
        raise typer.BadParameter(f"there is no runtime {', '.join(sorted(unknown))}")
    return runtimes


if __name__ == "__main__":
    app()
