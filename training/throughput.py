"""The speed of a recipe on this machine: images per second of the loader and of the network, each alone.

python -m training throughput --data DATA --recipe paper_b0 --workers 1,2,4,8
"""

import math
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table

from training.data.annotations import Collection
from training.loop import Trainer
from training.recipe import Recipe
from training.session import make_trainer


@dataclass(frozen=True, slots=True)
class Speed:
    """Images per second: of whole training steps on one batch, and of the loader by its number of workers."""

    network: float
    loader: dict[int, float]
    device: str

    def enough_workers(self) -> int | None:
        """The lowest measured number of workers that keeps the network busy; None if none does."""
        return next((count for count, speed in sorted(self.loader.items()) if speed >= self.network), None)


def measure_speed(
    recipe: Recipe, collection: Collection, workers: Sequence[int], *, seconds: float = 10.0
) -> Speed:
    """The speed of a recipe, each figure from `seconds` of work."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(replace(recipe, init_weights=None), collection, Path(folder))
        network = measure_network(trainer, seconds)
        loader = {}
        for count in workers:
            trainer.recipe = replace(recipe, workers=count)
            loader[count] = measure_loader(trainer, seconds)
    return Speed(network, loader, str(trainer.device))


def measure_network(trainer: Trainer, seconds: float) -> float:
    """Images per second of repeated steps on one batch, without the first step."""
    stage = trainer.recipe.stages[0]
    trainer.recipe = replace(trainer.recipe, workers=0)
    with closing(trainer.batches(0, 0, stage)) as batches:
        batch = next(batches)
    trainer.take_step(batch, 0, stage)  # the first step also allocates memory and chooses kernels
    start, images = time.monotonic(), 0
    while time.monotonic() - start < seconds or not images:
        trainer.take_step(batch, 0, stage)
        images += len(batch.pixels)
    return images / (time.monotonic() - start)


def measure_loader(trainer: Trainer, seconds: float) -> float:
    """Images per second of the batches alone, without the first one, for which the workers start."""
    stage, epoch, images = trainer.recipe.stages[0], 0, 0
    start = math.inf
    while not images or time.monotonic() - start < seconds:
        with closing(trainer.batches(epoch, 0, stage)) as batches:
            for batch in batches:
                if start == math.inf:
                    start = time.monotonic()
                    continue
                images += len(batch.pixels)
                if time.monotonic() - start >= seconds:
                    break
        epoch += 1
    return images / (time.monotonic() - start)


def draw_speed(speed: Speed) -> Table:
    """A row for each number of workers."""
    title = f"network on {speed.device}: {speed.network:.1f} images/s; {os.cpu_count()} CPU cores"
    table = Table("workers", "loader alone, images/s", "relative to the network", title=title)
    for count, value in sorted(speed.loader.items()):
        table.add_row(str(count), f"{value:.1f}", f"{value / speed.network:.2f}")
    enough = speed.enough_workers()
    table.caption = "the network waits" if enough is None else f"{enough} workers are enough"
    return table
