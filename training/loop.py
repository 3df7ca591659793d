"""The training loop: batches in, checkpoints and a log out."""

import copy
import math
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, astuple, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from service.types import Size
from training.annotations import Collection
from training.average import WeightAverage
from training.balance import draw_order, find_repeats
from training.batch import Batch
from training.checkpoint import CheckpointRefused, read_checkpoint, write_checkpoint
from training.cohort import agree_on, average_gradients, average_values, count_ranks, own_device, own_rank
from training.data import TrainingSet
from training.journal import Listener, Mark, Means, Report
from training.loader import load_batches
from training.losses import Counts, blitzmask_loss, count_objects
from training.networks.blitzmask import BlitzMask
from training.parameters import (
    freeze_blocks,
    make_optimizer,
    name_state,
    restore_state,
    set_pace,
    set_training,
)
from training.recipe import Recipe, Stage, stage_at
from training.watch import Watch

SAVE_EVERY = 120.0  # seconds


Judge = Callable[[BlitzMask], Means]


class Trainer:
    """A network on its way through a recipe; all that a resumed run needs is in its checkpoint.

    judge: what the recipe's examinations are held by; without it there are none.
    """

    def __init__(
        self,
        network: BlitzMask,
        collection: Collection,
        recipe: Recipe,
        folder: Path,
        *,
        judge: Judge | None = None,
    ) -> None:
        self.device = own_device()
        # torch's stubs do not know this form of `to`; the layout is the fast one on every device
        placed = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network: BlitzMask = placed
        self.collection = collection
        self.repeats = find_repeats(
            collection.pictures, recipe.repeat_threshold, mask_share=recipe.mask_share
        )
        self.recipe = recipe
        self.folder = folder
        self.step = 0
        self.seconds = 0.0
        self._ticked = time.monotonic()
        freeze_blocks(network, recipe.frozen_blocks)
        self.average = WeightAverage(network, recipe.average_decay)
        self.optimizer = make_optimizer(network, recipe)
        self.course = recipe.schedule.begin(recipe.peak)
        self.losses: list[float] = []  # of this epoch
        self.retreat = self._copy_weights()  # those before this epoch, for schedules that may go back
        self.judge = judge
        self.watch = Watch()
        self.best: dict[str, Tensor] = {}  # the average's weights at the best examination

    @property
    def steps_per_epoch(self) -> int:
        return max(1, len(self.collection.pictures) // self.recipe.batch_size)

    @property
    def progress(self) -> float:
        if self.recipe.hours is not None:
            return self.seconds / (3600 * self.recipe.hours)
        return self.step / (self.recipe.epochs * self.steps_per_epoch)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def resume(self) -> bool:
        """Continues from the folder's checkpoint; False where there is none.

        Raises CheckpointRefused where it is one of another network or of other labels.
        """
        if not self.checkpoint.exists():
            return False
        compared = ("architecture", "labels")
        content = read_checkpoint(self.checkpoint, parts=compared)
        for name in compared:
            if content[name] != self._describe()[name]:
                raise CheckpointRefused(
                    f"{self.checkpoint} is of a run with another {name}: choose another --out"
                )
        self.network.load_state_dict(content["network"])
        self.average.network.load_state_dict(content["average"])
        restore_state(self.network, self.optimizer, content["optimizer"])
        self.step, self.seconds = content["step"], content["seconds"]
        self.course = self.recipe.schedule.resume(self.recipe.peak, content["course"])
        self.losses, self.retreat = content["losses"], content["retreat"]
        self.watch, self.best = Watch(*content.get("watch", ())), content.get("best", {})
        return True

    def _describe(self) -> dict[str, Any]:
        labels = [label.model_dump() for label in self.collection.labels]
        return {"architecture": asdict(self.network.architecture), "labels": labels}

    def save(self) -> None:
        if own_rank() > 0:
            return
        content: dict[str, Any] = {
            **self._describe(),
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimizer": name_state(self.network, self.optimizer),
            "step": self.step,
            "seconds": self.seconds,
            "course": self.course.to_dict(),
            "losses": self.losses,
            "retreat": self.retreat,
            "watch": astuple(self.watch),
            "best": self.best,
        }
        write_checkpoint(content, self.checkpoint)

    def _keep_snapshot(self) -> None:
        """A copy of the averaged weights, one for each `snapshot_minutes` of the run; `load_network` reads
        it.
        """
        if self.recipe.snapshot_minutes is None or own_rank() > 0:
            return
        number = int(self.seconds // (60 * self.recipe.snapshot_minutes))
        path = self.folder / "snapshots" / f"{number:04d}.pt"
        if number and not path.exists():
            content = {**self._describe(), "step": self.step, "average": self.average.network.state_dict()}
            write_checkpoint(content, path)

    def run(self, listener: Listener, *, until: float = math.inf) -> None:
        """Trains until its schedule is over or `progress` is `until`, saving now and then and at the end.

        Raises Diverged where the loss explodes and the schedule has no way back.
        """
        saved = self._ticked = time.monotonic()
        while not self._is_over(until):
            epoch, offset = divmod(self.step, self.steps_per_epoch)
            stage = self._find_stage(epoch)
            for batch in self.batches(epoch, offset, stage):
                report = self.take_step(batch, epoch, stage)
                if self.step == (epoch + 1) * self.steps_per_epoch or not math.isfinite(self.losses[-1]):
                    self._finish_epoch(epoch)
                    listener(replace(report, mark=self._examine(epoch)))
                    break
                listener(report)
                if time.monotonic() - saved > SAVE_EVERY:
                    self.save()
                    self._keep_snapshot()
                    saved = time.monotonic()
                if self._is_over(until):
                    break
        self.save()

    def _is_over(self, until: float) -> bool:
        impatient = self.watch.is_out_of_patience(self.recipe.examination)
        return impatient or self.progress >= until or self.course.is_over(self.progress)

    def _finish_epoch(self, epoch: int) -> None:
        """Asks the schedule how to go on, and goes back to the weights before this epoch where it says so."""
        self.step = (epoch + 1) * self.steps_per_epoch
        self.course = self.course.after_epoch(fmean(self.losses))
        self.losses = []
        if self.course.goes_back:
            self.network.load_state_dict(self.retreat["network"])
            self.average.network.load_state_dict(self.retreat["average"])
            self.optimizer.state.clear()  # its momentum led to where we come back from
        self.retreat = self._copy_weights()

    def _examine(self, epoch: int) -> Mark | None:
        """How good the average is by now, where the recipe wants to know; all processes get one answer."""
        examination = self.recipe.examination
        if examination is None or self.judge is None or not examination.is_due(epoch):
            return None
        found = self.judge(self.average.network) if own_rank() == 0 else Means()
        means = Means(**{name: agree_on(value) for name, value in asdict(found).items()})
        self.watch = self.watch.after(means.mask_ap if self.recipe.masks else means.box_ap, epoch=epoch)
        is_best = self.watch.epoch == epoch
        if is_best and examination.patience is not None:
            self.best = copy.deepcopy(self.average.network.state_dict())
        self._ticked = time.monotonic()  # this was no time of training
        return Mark(means, is_best=is_best)

    def _copy_weights(self) -> dict[str, dict[str, Tensor]]:
        networks = {"network": self.network, "average": self.average.network}
        if not self.recipe.schedule.may_go_back:
            return {}
        return {name: copy.deepcopy(network.state_dict()) for name, network in networks.items()}

    def _find_stage(self, epoch: int) -> Stage:
        """The stage of an epoch, which does not change in its middle, not even by resuming there."""
        start = self.progress if self.recipe.hours is not None else epoch / self.recipe.epochs
        return stage_at(self.recipe.stages, self.course.place(start))

    def batches(self, epoch: int, offset: int, stage: Stage) -> Generator[Batch, None, None]:
        """The batches of an epoch from number `offset` on: the same for the same seed and epoch."""
        recipe = self.recipe
        order = draw_order(self.repeats, torch.Generator().manual_seed(recipe.seed + epoch)).tolist()
        pictures = TrainingSet(
            self.collection,
            canvas=Size(stage.side, stage.side),
            rules=replace(recipe.rules, resolution=stage.upsampling, mask_cells=stage.mask_cells),
            augmentation=recipe.augmentation,
            seed=(recipe.seed, epoch),
            order=order,
        )
        shown = min(len(order), self.steps_per_epoch * recipe.batch_size)
        groups = [
            list(range(start, min(start + recipe.batch_size, shown)))[own_rank() :: count_ranks()]
            for start in range(0, shown, recipe.batch_size)
        ]
        return load_batches(
            pictures, groups[offset:], workers=recipe.workers, pinned=self.device.type == "cuda"
        )

    def take_step(self, batch: Batch, epoch: int, stage: Stage) -> Report:
        pace = self.course.pace(self.progress)
        set_pace(self.optimizer, pace)
        set_training(self.network, self.recipe.frozen_blocks)
        batch = batch.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bfloat16):
            heads = self.network(batch.pixels)
        terms = blitzmask_loss(
            heads, batch, self.recipe.losses, upsampling=stage.upsampling, counts=self._count(batch)
        )
        self._descend(sum(terms.values(), start=torch.zeros((), device=self.device)))
        self.step += 1
        self.average.update(self.network, self.step)
        elapsed = self._tick()
        values = {name: term.item() for name, term in terms.items()}
        self.losses.append(agree_on(sum(values.values())))
        speed = len(batch.pixels) * count_ranks() / elapsed
        return Report(self.step, epoch, self.progress, pace.rate, pace.momentum, values, speed)

    def _count(self, batch: Batch) -> Counts | None:
        """What the terms are divided by, the same for all processes; None for the paper's means by image."""
        return Counts(*average_values(count_objects(batch))) if self.recipe.losses.per_batch else None

    def _tick(self) -> float:
        """Seconds since the last step, which join the run's."""
        before, self._ticked = self._ticked, time.monotonic()
        self.seconds = agree_on(self.seconds + self._ticked - before)
        return self._ticked - before

    def _descend(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        average_gradients(self.network.parameters())
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.gradient_limit)
        self.optimizer.step()
