"""A whole run, from the user's data to a report and a model folder that the service loads."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from torch import Tensor

from service.inference.backends import BackendChoice
from service.inference.card import Runtime
from service.inference.segmenter import open_model
from service.types import Pixels, Size
from training.checkpoint import load_network
from training.data.annotations import Collection
from training.data.augment import fit_view
from training.data.datasets import Datasets, EvaluationSet
from training.data.training_set import read_pixels
from training.distributed import get_rank
from training.evaluation.accuracy import best_threshold
from training.evaluation.evaluate import detect, evaluate_detections, record_accuracy, summarise
from training.export.model_folder import EXPORTERS, ModelInfo, export_model
from training.init_weights import initialise_network
from training.loop import Evaluate, Trainer
from training.networks.families import Network, build_network
from training.recipe import Recipe
from training.report import RunResult, choose_threshold, draw_pair, stack_pairs, write_report
from training.run_log import JsonLog, StepReport, TensorBoardLog, plot_curves, read_log
from training.validation import Evaluator

SAMPLES = 4  # pictures on TensorBoard
ALL_PICTURES = 1_000_000
STATISTICS_PICTURES = 32
STATISTICS_CANVAS = Size(320, 320)


@dataclass(frozen=True, slots=True)
class Run:
    """The inputs of a run.

    folder: for the checkpoint, the log, the report and models/NAME. runtimes: the files of the model; empty
    for no model. command: the command line, for the card.
    """

    name: str
    recipe: Recipe
    datasets: Datasets
    folder: Path
    runtimes: tuple[Runtime, ...]
    command: str

    @property
    def canvas(self) -> Size:
        return Size(self.recipe.stages[-1].side, self.recipe.stages[-1].side)

    def evaluator(self, pictures: int) -> Evaluator:
        datasets = self.datasets
        return Evaluator(datasets.evaluation, datasets.training.labels, self.canvas, pictures=pictures)


def run_training(run: Run) -> None:
    """Trains to the recipe's end, from the folder's checkpoint if there is one, and writes the logs."""
    recipe = run.recipe
    evaluator = run.evaluator(recipe.validation.pictures if recipe.validation else 1)
    trainer = make_trainer(recipe, run.datasets.training, run.folder, evaluate=evaluator.measure)
    if get_rank() > 0:
        trainer.run(lambda report: None)
        return
    log = JsonLog(run.folder / "log.jsonl")
    board = TensorBoardLog(run.folder / "tensorboard", lambda: draw_samples(evaluator))
    with make_progress() as progress, closing(board), closing(EpochLines(progress.console)) as lines:
        bar = ProgressBar(progress) if progress.console.is_terminal else lines

        def listen(report: StepReport) -> None:
            for write in (log.write, board.write, bar.write):
                write(report)

        trainer.run(listen)
    plot_curves(read_log(log.path), run.folder / "curves.png")


def make_trainer(
    recipe: Recipe, collection: Collection, folder: Path, *, evaluate: Evaluate | None = None
) -> Trainer:
    """A trainer at the folder's checkpoint, or else at the recipe's initial weights."""
    torch.manual_seed(recipe.seed)
    network = build_network(recipe.architecture(len(collection.labels)))
    if recipe.init_weights is not None and not (folder / "checkpoint.pt").exists():
        pixels = statistics_pixels(collection)
        initialise_network(network, collection.labels, source=recipe.init_weights, pixels=pixels)
    trainer = Trainer(network, collection, recipe, folder, evaluate=evaluate)
    trainer.resume()
    return trainer


def statistics_pixels(collection: Collection) -> Tensor:
    """A few dozen pictures, spread over the collection: uint8 [N, H, W, 3]."""
    pictures = collection.pictures[:: max(1, len(collection.pictures) // STATISTICS_PICTURES)]
    canvases = [
        fit_view(picture.size, STATISTICS_CANVAS).place_pixels(read_pixels(picture)) for picture in pictures
    ]
    return torch.stack([torch.from_numpy(canvas) for canvas in canvases])


def export_and_report(run: Run, console: Console) -> Path:
    """The path of the report, after it has exported and evaluated the trained network."""
    network, labels = load_network(run.folder / "checkpoint.pt")
    evaluator = run.evaluator(ALL_PICTURES)
    console.print(f"evaluating on {len(evaluator.data.content['images'])} pictures")
    evaluation = evaluator.evaluate(network)
    result = RunResult(run.name, run.datasets, evaluator.detections, evaluation, None)
    if run.runtimes:
        console.print(f"exporting to {' and '.join(run.runtimes)}")
        folder = run.folder / "models" / run.name
        threshold = round_threshold(choose_threshold(result))
        description = f"{network.architecture.title} of {len(labels)} categories, trained on {run.name}."
        info = ModelInfo(run.name, "1.0.0", description, labels, run.canvas, threshold)
        exporters = {runtime: EXPORTERS[runtime] for runtime in run.runtimes}
        with hidden_export_messages():
            export_model(network, info, folder, exporters=exporters)
        result = evaluate_model(run, folder)
    return write_report(result, run.folder)


def find_threshold(network: Network, info: ModelInfo, data: EvaluationSet) -> float:
    """The score threshold with the best F1 on a set, of masks, or of boxes if no mask is right."""
    evaluator = Evaluator(data, info.labels, info.canvas, pictures=ALL_PICTURES)
    evaluation = evaluator.evaluate(network)
    if evaluation.f1 > 0:
        return round_threshold(evaluation.threshold)
    return round_threshold(best_threshold(data.content, evaluator.detections, "bbox")[0])


def round_threshold(threshold: float) -> float:
    """The threshold as a card has it.

    >>> round_threshold(0.123), round_threshold(1)
    (0.12, 0.95)
    """
    return round(min(max(threshold, 0.05), 0.95), 2)


def evaluate_model(run: Run, folder: Path) -> RunResult:
    """The result of the model's first file; the accuracy of every file goes into the card."""
    data, results = run.datasets.evaluation, []
    for runtime in run.runtimes:
        with closing(open_model(folder, BackendChoice(runtime=runtime, threads=2))) as segmenter:
            found = [item for items in detect(segmenter, data.content, data.images) for item in items]
            (file,) = (item for item in segmenter.card.files if item.runtime == runtime)
        evaluation = evaluate_detections(data.content, found)
        accuracy = summarise(evaluation, f"{run.name}, {data.origin}", run.command)
        record_accuracy(folder, file, accuracy)
        results.append(RunResult(run.name, run.datasets, found, evaluation, folder))
    return results[0]


@contextmanager
def hidden_export_messages() -> Iterator[None]:
    """Hides the messages of torch's exporter, which do not help the user."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def draw_samples(evaluator: Evaluator) -> Pixels:
    """Some evaluation pictures, each with its ground truth and its latest detections: uint8 [H, W, 3]."""
    entries: Sequence[Any] = evaluator.data.content["images"]
    chosen = entries[:: max(1, len(entries) // SAMPLES)][:SAMPLES]
    shown = [item for item in evaluator.detections if item["score"] >= 0.3]
    return stack_pairs([draw_pair(evaluator.data, entry, shown) for entry in chosen])


def make_progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, transient=False)


class ProgressBar:
    """One line on the terminal: epoch, loss, speed and the last mask AP."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.task = progress.add_task("training", total=1.0)
        self.precision = ""

    def write(self, report: StepReport) -> None:
        if report.validation is not None:
            self.precision = f" mask AP {report.validation.means.mask_ap:.3f}"
        text = describe_step(report) + self.precision
        self.progress.update(self.task, completed=report.progress, description=text)


class EpochLines:
    """A line for each epoch, where a bar cannot be drawn: in a file, or a pipe."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.last: StepReport | None = None

    def write(self, report: StepReport) -> None:
        if self.last is not None and self.last.epoch != report.epoch:
            self.close()
        self.last = report
        if report.validation is not None:
            self.close()

    def close(self) -> None:
        """Prints the line of the epoch that has ended."""
        if self.last is None:
            return
        found = self.last.validation
        precision = f" mask AP {found.means.mask_ap:.3f} box AP {found.means.box_ap:.3f}" if found else ""
        done = f" ({self.last.progress:.0%} done)"
        self.console.print(
            describe_step(self.last) + precision + done, markup=False, highlight=False, soft_wrap=True
        )
        self.last = None


def describe_step(report: StepReport) -> str:
    return f"epoch {report.epoch + 1} loss {report.loss:.3f} {report.images_per_second:.0f} images/s"
