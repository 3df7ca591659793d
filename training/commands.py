"""The commands: from labelled pictures to a model that the service loads, and its precision."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from service.errors import BlitzError
from service.inference.backends import BackendChoice, choose_file
from service.inference.backends.base import PrecisionChoice, RuntimeChoice
from service.inference.card import read_card
from service.inference.resolved_options import parse_tiles
from service.inference.segmenter import open_model
from service.types import Size
from training.checkpoint import CheckpointNotWritten, CheckpointRefused, load_network
from training.data.datasets import EvaluationSet, find_split, read_datasets, read_split
from training.data.faults import BadData, DataRefused, Fault, describe_faults
from training.data.licences import licences as licence_table
from training.data.pictures import PictureFailed
from training.data.shapes import shapes
from training.data.shrink import shrink_set
from training.data.training_set import WorkerDied
from training.distributed import get_rank, name_launcher, process_group
from training.evaluation.calibrate import calibrate
from training.evaluation.cells import compare_runs
from training.evaluation.evaluate import (
    check_objects,
    collect_answers,
    draw_table,
    evaluate_detections,
    parse_ids,
    record_accuracy,
    summarise,
)
from training.export.comparison import compare_networks
from training.export.complexity import complexity
from training.export.model_folder import (
    EXPORTERS,
    USUAL,
    ExportMismatch,
    ModelInfo,
    export_model,
    read_runtimes,
)
from training.export.ncnn import ConversionFailed, write_torchscript
from training.export.parity import parity
from training.export.precisions import FLOAT_HEADS, Source, add_precisions, read_calibration
from training.export.release import release
from training.init_weights import WeightsRefused
from training.lr_schedule import Diverged
from training.options import (
    Categories,
    Checkpoint,
    Data,
    Destination,
    Folders,
    LicenceOption,
    Model,
    Side,
    check_numbers,
    check_source,
    spell_command,
)
from training.pseudo_label import pseudo_label
from training.recipe import prepare_recipe
from training.session import Run, export_and_report, find_threshold, run_training
from training.teacher import TeacherRefused
from training.throughput import draw_speed, measure_speed

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
FAILURES = (CheckpointNotWritten, ConversionFailed, Diverged, ExportMismatch, WorkerDied)
MISUSES = (
    BlitzError,
    CheckpointRefused,
    DataRefused,
    FileNotFoundError,
    PictureFailed,
    TeacherRefused,
    WeightsRefused,
)


@contextmanager
def explained_errors() -> Iterator[None]:
    """Ends the command with one line instead of a traceback, for errors that the user can correct."""
    try:
        yield
    except (*FAILURES, *MISUSES) as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(MISUSED if isinstance(error, MISUSES) else FAILED) from error


app = typer.Typer(
    help="Train, export and evaluate the networks that the service serves.", no_args_is_help=True
)
for command in (calibrate, compare_networks, compare_runs, complexity, parity, pseudo_label, release, shapes):
    app.command()(explained_errors()(command))
app.command("licences")(explained_errors()(licence_table))


@app.command()
@explained_errors()
def train(
    data: Folders,
    recipe: Annotated[str, typer.Option(help="A module of training/recipes, or module:NAME.")] = "own",
    out: Annotated[
        Path | None,
        typer.Option(help="The run's folder, runs/NAME by default; a run in it is continued."),
    ] = None,
    name: Annotated[str, typer.Option(help="The model's name; the data folder's name if empty.")] = "",
    init: Annotated[
        Path | None,
        typer.Option(
            "--init",
            "--origin",
            help="Initial weights: a model folder, a checkpoint.pt, an .npz of a backbone, or `imagenet`.",
            callback=check_source,
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(help="A BlitzMask's model folder; its heads are soft targets.", exists=True),
    ] = None,
    hours: Annotated[float | None, typer.Option(help="Length of the run, instead of the recipe's.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Changes a field of the recipe: epochs=20, losses.eps2=0, ..."),
    ] = None,
    bad_data: Annotated[BadData, typer.Option(help="Leave out faulty data, or stop.")] = "skip",
    licences: LicenceOption = "all",
    runtimes: Annotated[
        str, typer.Option(help="The model's files, separated by commas; empty for no model.")
    ] = "onnx,tflite",
) -> None:
    """Train a network, evaluate it, export it. Under torchrun each process has a share of each batch."""
    chosen = prepare_recipe(recipe, settings or [], hours=hours, init_weights=init, teacher=teacher)
    title = name or re.sub(r"[^A-Za-z0-9._-]+", "-", data[0].resolve().name).strip("-._") or "model"
    console = Console(stderr=True)
    datasets = read_datasets(data, bad_data, trust_absence=chosen.trust_absence, licences=licences)
    folder = out or Path("runs") / title
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "--data": data,
        "--recipe": recipe,
        "--out": out,
        "--name": name,
        "--init": init,
        "--teacher": teacher,
        "--hours": hours,
        "--set": settings,
        "--bad-data": bad_data,
        "--licences": licences,
        "--runtimes": runtimes,
    }
    command = spell_command("train", (), options=options, launcher=name_launcher())
    run = Run(title, chosen, datasets, folder, read_runtimes(runtimes), command)
    with told_command(command):
        with process_group():
            if get_rank() == 0:
                list_faults(datasets.faults)
            run_training(run)
            is_first = get_rank() == 0
        if is_first:
            report = export_and_report(run, console)
            console.print(report.read_text().partition("\n![")[0], markup=False)
            console.print(f"report: {report}", markup=False)


@app.command()
@explained_errors()
def throughput(
    data: Folders,
    recipe: Annotated[str, typer.Option(help="As for train.")] = "own",
    workers: Annotated[
        str,
        typer.Option(help="Numbers of loader processes, separated by commas.", callback=check_numbers),
    ] = "1,2,4",
    seconds: Annotated[float, typer.Option(help="Length of each measurement.")] = 10.0,
    settings: Annotated[list[str] | None, typer.Option("--set", help="As for train.")] = None,
) -> None:
    """Measure if loading and augmentation keep up with the network."""
    chosen = prepare_recipe(recipe, settings or [])
    training = read_datasets(data, "skip", trust_absence=chosen.trust_absence).training
    speed = measure_speed(chosen, training, [int(text) for text in workers.split(",")], seconds=seconds)
    Console().print(draw_speed(speed))


@app.command()
@explained_errors()
def export(
    checkpoint: Checkpoint,
    folder: Destination,
    version: Annotated[str, typer.Option(help="The model's version.")] = "1.0.0",
    description: Annotated[
        str, typer.Option(help="One sentence for the card; the network's name if empty.")
    ] = "",
    threshold: Annotated[
        float | None,
        typer.Option(help="Default score threshold; that of the best F1 on --data, or 0.3.", min=0, max=1),
    ] = None,
    side: Side = 320,
    data: Annotated[
        Path | None, typer.Option(help="A data set, to choose the score threshold.", exists=True)
    ] = None,
    split: Annotated[str, typer.Option(help="The split of the data.")] = "val",
    runtimes: Annotated[
        str, typer.Option(help=f"The model's files, separated by commas: {', '.join(EXPORTERS)}.")
    ] = ",".join(USUAL),
    torchscript: Annotated[
        Path | None, typer.Option(help="A TorchScript file to write, too; the service does not read it.")
    ] = None,
) -> None:
    """Export a checkpoint to files of several runtimes, checked against PyTorch, with a card."""
    exporters = {runtime: EXPORTERS[runtime] for runtime in read_runtimes(runtimes)}
    if not exporters:
        raise typer.BadParameter("a model needs a file: name a runtime", param_hint="--runtimes")
    place = None if data is None or threshold is not None else find_split(data, split)
    network, labels = load_network(checkpoint)
    sentence = description or f"{network.architecture.title}."
    info = ModelInfo(folder.name, version, sentence, labels, Size(side, side))
    if threshold is not None:
        info = replace(info, score_threshold=threshold)
    elif place is not None:
        content, faults = read_split(place, "skip")
        check_objects(content, None, faults)
        found = find_threshold(network, info, EvaluationSet(content, place.images, split))
        info = replace(info, score_threshold=found)
        typer.echo(f"score threshold {found}, with the best F1 on {place.annotations}", err=True)
    if torchscript is not None:
        write_torchscript(network, info.canvas, torchscript)
    for file in export_model(network, info, folder, exporters=exporters).files:
        for part in file.parts:
            Console().print(f"{folder / part.path}: {part.bytes} bytes")


@app.command()
@explained_errors()
def quantize(
    folder: Annotated[Path, typer.Argument(help="The model folder to add files to.", exists=True)],
    data: Data,
    split: Annotated[str, typer.Option(help="The split of the calibration pictures.")] = "train",
    pictures: Annotated[int, typer.Option(help="Number of calibration pictures.", min=1)] = 128,
    float_heads: Annotated[
        str, typer.Option(help="Heads whose last layer stays fp32 in INT8 files, separated by commas.")
    ] = ",".join(sorted(FLOAT_HEADS)),
) -> None:
    """Add fp16 and INT8 files to an exported model, calibrated on training pictures."""
    canvases = read_calibration(find_split(data, split), read_card(folder).canvas, pictures)
    heads = frozenset(filter(None, float_heads.split(",")))
    for file in add_precisions(Source(folder, canvases, heads)).files:
        Console().print(f"{folder / file.path}: {file.bytes} bytes")


@app.command()
@explained_errors()
def evaluate(
    folder: Model,
    data: Data,
    split: Annotated[str, typer.Option(help="The split of the data.")] = "val",
    runtime: Annotated[RuntimeChoice, typer.Option(help="Runtime of the model's file.")] = "auto",
    precision: Annotated[PrecisionChoice, typer.Option(help="Precision of the model's file.")] = "auto",
    categories: Categories = "",
    tiles: Annotated[str, typer.Option(help="Tiles of the pictures: auto, or the most. Unset: none.")] = "",
    out: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
    record: Annotated[bool, typer.Option(help="Write the figures into the model's card.")] = False,
    bad_data: Annotated[BadData, typer.Option(help="Leave out faulty data, or stop.")] = "skip",
) -> None:
    """Measure the average precision of a model's answers, as the service gives them."""
    place, chosen = find_split(data, split), parse_ids(categories)
    content, faults = read_split(place, bad_data)
    check_objects(content, chosen, faults)
    choice = BackendChoice(runtime=runtime, precision=precision, threads=2)
    segmenter = open_model(folder, choice)
    answers = collect_answers(segmenter, content, place.images, bad_data, tiles=parse_tiles(tiles))
    check_objects(answers.content, chosen, faults := faults + answers.faults)
    list_faults(faults)
    evaluation = evaluate_detections(answers.content, answers.detections, chosen)
    Console().print(draw_table(evaluation))
    Console().print(f"{1000 * answers.seconds:.1f} ms for a picture")
    Console().print(f"best F1 of masks at IoU 0.5: {evaluation.f1:.3f} at score {evaluation.threshold:.2f}")
    if out is not None:
        out.write_text(json.dumps(evaluation.to_json(), indent=1) + "\n")
    if record:
        file = choose_file(segmenter.card, choice)
        options = {
            "--data": data,
            "--split": split,
            "--runtime": file.runtime,
            "--precision": file.precision,
            "--categories": categories,
            "--tiles": tiles,
        }
        text = spell_command("evaluate", [folder], options=options)
        record_accuracy(folder, file, summarise(evaluation, f"{data.name} {split}", text))


@contextmanager
def told_command(command: str) -> Iterator[None]:
    """After Ctrl-C, prints the command that continues the run, and ends with the status 130."""
    try:
        yield
    except KeyboardInterrupt as error:
        if get_rank() == 0:
            typer.echo(f"\nInterrupted. This command continues the run:\n{command}", err=True)
        raise typer.Exit(INTERRUPTED) from error


def list_faults(faults: Sequence[Fault]) -> None:
    """Prints the parts of the data that are left out."""
    if faults:
        typer.echo(f"Data that is left out:\n{describe_faults(faults)}", err=True)


@app.command()
@explained_errors()
def shrink(
    data: Data,
    folder: Annotated[Path, typer.Argument(help="A new folder for the copy.")],
    side: Annotated[int, typer.Option(help="Longest side of its pictures, pixels.", min=32)] = 320,
    licences: LicenceOption = "all",
) -> None:
    """Copy a data set with smaller pictures, as JPEG files, which are quicker to read."""
    for line in shrink_set(data, folder, side, licences=licences):
        typer.echo(line)
