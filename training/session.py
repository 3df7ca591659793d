"""A run from the user's folder of pictures to a report and a model that the service loads as it is."""

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
from service.inference.card import Label, Runtime
from service.inference.segmenter import open_model
from service.types import Pixels, Size
from training.checkpoint import read_checkpoint
from training.data.annotations import Collection, read_collection
from training.data.augment import fit_view
from training.data.datasets import Material, Split
from training.data.training_set import read_pixels
from training.distributed import own_rank
from training.evaluation.evaluate import detect, judge, record_accuracy, summarise
from training.evaluation.evaluator import Examiner
from training.export.model_folder import EXPORTERS, Title, export_model
from training.init_weights import start_network
from training.loop import Judge, Trainer
from training.networks.blitzmask import Architecture, BlitzMask
from training.recipe import Recipe
from training.report import Outcome, choose_threshold, write_summary
from training.run_log import Board, JsonLog, Listener, Report, plot_curves, read_log
from training.visualize import draw_pair, stack_pairs

SAMPLES = 4  # pictures on the board
ALL_PICTURES = 1_000_000


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made of what.

    folder: takes checkpoint, log, report and models/NAME, the artifact. runtimes: of its files, none for no
    artifact. command: how it was ordered, for the card.
    """

    name: str
    recipe: Recipe
    material: Material
    folder: Path
    runtimes: tuple[Runtime, ...]
    command: str

    @property
    def canvas(self) -> Size:
        return Size(self.recipe.stages[-1].side, self.recipe.stages[-1].side)

    def examiner(self, pictures: int) -> Examiner:
        material = self.material
        return Examiner(material.exam, material.lessons.labels, self.canvas, pictures=pictures)


def learn(order: Order) -> None:
    """Trains to the recipe's end, or goes on where the folder's checkpoint is, telling as it goes."""
    recipe = order.recipe
    examiner = order.examiner(recipe.examination.pictures if recipe.examination else 1)
    trainer = prepare_trainer(
        recipe, order.material.lessons, order.folder, origin=recipe.origin, judge=examiner.mark
    )
    if own_rank() > 0:
        trainer.run(lambda report: None)
        return
    log = JsonLog(order.folder / "log.jsonl")
    board = Board(order.folder / "tensorboard", lambda: draw_samples(examiner))
    with make_progress() as progress, closing(board):
        bar = Bar(progress)

        def listen(report: Report) -> None:
            for tell in (log.write, board.write, bar.write):
                tell(report)

        trainer.run(listen)
    plot_curves(read_log(log.path), order.folder / "curves.png")


def finish(order: Order, console: Console) -> Path:
    """Exports what was learnt, judges it as it is served, and writes the report, whose path it returns."""
    network, labels = load_network(order.folder / "checkpoint.pt")
    examiner = order.examiner(ALL_PICTURES)
    console.print(f"judging by {len(examiner.exam.content['images'])} pictures")
    verdict = examiner.judge(network)
    outcome = Outcome(order.name, order.material, examiner.detections, verdict, None)
    if order.runtimes:
        console.print(f"exporting to {' and '.join(order.runtimes)}")
        folder = order.folder / "models" / order.name
        threshold = min(max(choose_threshold(outcome), 0.05), 0.95)
        description = f"BlitzMask of {len(labels)} categories, trained on {order.name}."
        title = Title(order.name, "1.0.0", description, labels, order.canvas, round(threshold, 2))
        exporters = {runtime: EXPORTERS[runtime] for runtime in order.runtimes}
        with silenced():
            export_model(network, title, folder, exporters=exporters)
        outcome = judge_artifact(order, folder)
    return write_summary(outcome, order.folder)


def judge_artifact(order: Order, folder: Path) -> Outcome:
    """The outcome by each of the model's files, whose figures go into its card; that of the first."""
    exam, outcomes = order.material.exam, []
    for runtime in order.runtimes:
        with closing(open_model(folder, BackendChoice(runtime=runtime, threads=2))) as segmenter:
            found = [item for items in detect(segmenter, exam.content, exam.images) for item in items]
            (file,) = (item for item in segmenter.card.files if item.runtime == runtime)
        verdict = judge(exam.content, found)
        record_accuracy(folder, file, summarise(verdict, f"{order.name}, {exam.origin}", order.command))
        outcomes.append(Outcome(order.name, order.material, found, verdict, folder))
    return outcomes[0]


@contextmanager
def silenced() -> Iterator[None]:
    """What torch's exporter has to say of itself is nothing to the user."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def draw_samples(examiner: Examiner) -> Pixels:
    """A few of the exam's pictures, each with its truth and what was last found in it: uint8 [H, W, 3]."""
    entries: Sequence[Any] = examiner.exam.content["images"]
    chosen = entries[:: max(1, len(entries) // SAMPLES)][:SAMPLES]
    sure = [item for item in examiner.detections if item["score"] >= 0.3]
    return stack_pairs([draw_pair(examiner.exam, entry, sure) for entry in chosen])


def make_progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, transient=False)


class Bar:
    """The run as a line of text that grows: where it is, its loss, its speed, how good it was last."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.task = progress.add_task("training", total=1.0)
        self.precision = ""

    def write(self, report: Report) -> None:
        if report.mark is not None:
            self.precision = f" mask AP {report.mark.means.mask_ap:.3f}"
        text = f"epoch {report.epoch + 1} loss {report.loss:.3f} {report.images_per_second:.0f} images/s"
        self.progress.update(self.task, completed=report.progress, description=text + self.precision)


CALIBRATION_PICTURES = 32
CALIBRATION_CANVAS = Size(320, 320)


def train(
    recipe: Recipe, split: Split, folder: Path, *, origin: Path | None, listener: Listener
) -> BlitzMask:
    """The averaged network at the recipe's end; goes on from the folder's checkpoint where there is one.

    origin: what the network starts from, see `origin.start_network`; None for random weights.
    """
    collection = read_collection(split.annotations, split.images, trust_absence=recipe.trust_absence)
    trainer = prepare_trainer(recipe, collection, folder, origin=origin)
    trainer.run(listener)
    return trainer.average.network.cpu()


def prepare_trainer(
    recipe: Recipe, collection: Collection, folder: Path, *, origin: Path | None, judge: Judge | None = None
) -> Trainer:
    """A trainer where the folder's checkpoint left off, else at the start, from `origin`."""
    torch.manual_seed(recipe.seed)
    network = BlitzMask(recipe.architecture(len(collection.labels)))
    if origin is not None and not (folder / "checkpoint.pt").exists():
        start_network(network, collection.labels, origin=origin, pixels=calibration_pixels(collection))
    trainer = Trainer(network, collection, recipe, folder, judge=judge)
    trainer.resume()
    return trainer


def calibration_pixels(collection: Collection) -> Tensor:
    """A few dozen pictures from all over the collection: uint8 [N, H, W, 3]."""
    pictures = collection.pictures[:: max(1, len(collection.pictures) // CALIBRATION_PICTURES)]
    canvases = [
        fit_view(picture.size, CALIBRATION_CANVAS).place_pixels(read_pixels(picture)) for picture in pictures
    ]
    return torch.stack([torch.from_numpy(canvas) for canvas in canvases])


def load_network(checkpoint: Path) -> tuple[BlitzMask, tuple[Label, ...]]:
    """The network that a run ended with, ready to be exported, and its labels.

    That is the average at the best examination where the recipe had the patience to look for it, else at the
    end. Raises CheckpointRefused.
    """
    content = read_checkpoint(checkpoint, parts=("architecture", "labels", "average"))
    network = BlitzMask(Architecture(**content["architecture"]))
    network.load_state_dict(content.get("best") or content["average"])
    return network.eval(), tuple(Label(**label) for label in content["labels"])
