"""The training loop: batches in, checkpoints and step reports out."""

import copy
import math
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, astuple, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import torch
from torch import Tensor, nn

from service.types import Size
from training.checkpoint import CheckpointRefused, read_checkpoint, write_checkpoint
from training.csr_loss import csr_loss
from training.data.annotations import Collection
from training.data.batch import Batch
from training.data.training_set import TrainingSet, draw_order, load_batches, repeat_factors
from training.distributed import (
    average_gradients,
    average_values,
    broadcast_value,
    choose_device,
    get_rank,
    get_world_size,
)
from training.losses import Counts, blitzmask_loss, count_objects
from training.networks.families import Network
from training.optimizer import (
    apply_settings,
    freeze_blocks,
    make_average,
    make_optimizer,
    name_state,
    restore_state,
    set_training,
)
from training.recipe import Recipe, Stage, stage_at
from training.run_log import Listener, MeanPrecision, StepReport, ValidationResult
from training.teacher import Teacher
from training.validation import EarlyStopping
from training.yolact_loss import yolact_loss

SAVE_EVERY = 120.0  # seconds


Evaluate = Callable[[Network], MeanPrecision]
Loss = Callable[[Mapping[str, Tensor], Batch], dict[str, Tensor]]


class Trainer:
    """A network in training by a recipe; its checkpoint has everything that a resumed run needs.

    evaluate: measures the averaged network for the recipe's validations; None: there are no validations.
    """

    def __init__(
        self,
        network: Network,
        collection: Collection,
        recipe: Recipe,
        folder: Path,
        *,
        evaluate: Evaluate | None = None,
    ) -> None:
        self.device = choose_device()
        # torch's stubs lack this form of `to`; channels_last is the fast layout on every device
        placed = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network: Network = placed
        self.collection = collection
        self.repeats = repeat_factors(
            collection.pictures, recipe.repeat_threshold, mask_share=recipe.mask_share
        )
        self.recipe = recipe
        self.folder = folder
        self.step = 0
        self.seconds = 0.0
        self._read_clock = {"wall": time.monotonic, "cpu": time.process_time}[recipe.clock]
        self._ticked = self._read_clock()
        freeze_blocks(network, recipe.frozen_blocks)
        self.average = make_average(network, recipe.average_decay)
        self.optimizer = make_optimizer(network, recipe)
        self.schedule_state = recipe.schedule.begin(recipe.peak)
        self.losses: list[float] = []  # of the current epoch
        self.rollback = self._copy_weights()  # the weights before the current epoch
        self.evaluate = evaluate
        self.early_stopping = EarlyStopping()
        self.best: dict[str, Tensor] = {}  # the averaged weights of the best validation
        self.teacher = None if recipe.teacher is None else Teacher(recipe.teacher, collection.labels)

    @property
    def averaged_network(self) -> Network:
        return cast(Network, self.average.module)

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
        """Continues from the folder's checkpoint; False if there is none.

        Raises CheckpointRefused if it is of another network or has other labels.
        """
        if not self.checkpoint.exists():
            return False
        compared = ("architecture", "labels")
        content = read_checkpoint(self.checkpoint, parts=compared)
        for name in compared:
            if content[name] != self._describe()[name]:
                raise CheckpointRefused(
                    f"{self.checkpoint} is of a run with another {name}: use another --out"
                )
        self.network.load_state_dict(content["network"])
        self.averaged_network.load_state_dict(content["average"])
        restore_state(self.network, self.optimizer, content["optimizer"])
        self.step, self.seconds = content["step"], content["seconds"]
        self.average.n_averaged.fill_(self.step)
        self.schedule_state = self.recipe.schedule.resume(self.recipe.peak, content["schedule"])
        self.losses, self.rollback = content["losses"], content["rollback"]
        self.early_stopping = EarlyStopping(*content["early_stopping"])
        self.best = content["best"]
        return True

    def _describe(self) -> dict[str, Any]:
        # Without the fields that a label does not use: checkpoints of earlier versions do not have them.
        labels = [label.model_dump(exclude_none=True) for label in self.collection.labels]
        return {"architecture": asdict(self.network.architecture), "labels": labels}

    def save(self) -> None:
        if get_rank() > 0:
            return
        content: dict[str, Any] = {
            **self._describe(),
            "network": self.network.state_dict(),
            "average": self.averaged_network.state_dict(),
            "optimizer": name_state(self.network, self.optimizer),
            "step": self.step,
            "seconds": self.seconds,
            "schedule": self.schedule_state.to_dict(),
            "losses": self.losses,
            "rollback": self.rollback,
            "early_stopping": astuple(self.early_stopping),
            "best": self.best,
        }
        write_checkpoint(content, self.checkpoint)
        self._keep_snapshot()

    def _keep_snapshot(self) -> None:
        """Writes the averaged weights once per `snapshot_minutes` of training, for `load_network`."""
        if self.recipe.snapshot_minutes is None:
            return
        number = int(self.seconds // (60 * self.recipe.snapshot_minutes))
        path = self.folder / "snapshots" / f"{number:04d}.pt"
        if number and not path.exists():
            average = self.averaged_network.state_dict()
            write_checkpoint({**self._describe(), "step": self.step, "average": average}, path)

    def run(self, listener: Listener, *, until: float = math.inf) -> None:
        """Trains until the schedule is over or `progress` reaches `until`; saves regularly and at the end.

        Raises Diverged if the loss diverges and the schedule cannot roll back.
        """
        saved = time.monotonic()
        self._ticked = self._read_clock()
        while not self._is_over(until):
            epoch, offset = divmod(self.step, self.steps_per_epoch)
            stage = self._find_stage(epoch)
            for batch in self.batches(epoch, offset, stage):
                report = self.take_step(batch, epoch, stage)
                if self.step == (epoch + 1) * self.steps_per_epoch or not math.isfinite(self.losses[-1]):
                    self._finish_epoch(epoch)
                    listener(replace(report, validation=self._validate(epoch)))
                    break
                listener(report)
                if time.monotonic() - saved > SAVE_EVERY:
                    self.save()
                    saved = time.monotonic()
                if self._is_over(until):
                    break
        self.save()

    def _is_over(self, until: float) -> bool:
        stopped = self.early_stopping.is_out_of_patience(self.recipe.validation)
        return stopped or self.progress >= until or self.schedule_state.is_over(self.progress)

    def _finish_epoch(self, epoch: int) -> None:
        """Updates the schedule, and restores the weights before this epoch if the schedule rolls back."""
        self.step = (epoch + 1) * self.steps_per_epoch
        self.schedule_state = self.schedule_state.after_epoch(fmean(self.losses))
        self.losses = []
        if self.schedule_state.rolls_back:
            self.network.load_state_dict(self.rollback["network"])
            self.averaged_network.load_state_dict(self.rollback["average"])
            self.optimizer.state.clear()  # the momentum of the undone steps
        self.rollback = self._copy_weights()

    def _validate(self, epoch: int) -> ValidationResult | None:
        """The averaged network's precision if a validation is due, the same in all processes."""
        validation = self.recipe.validation
        if validation is None or self.evaluate is None or not validation.is_due(epoch):
            return None
        found = self.evaluate(self.averaged_network) if get_rank() == 0 else MeanPrecision()
        means = MeanPrecision(**{name: broadcast_value(value) for name, value in asdict(found).items()})
        score = means.mask_ap if self.recipe.masks else means.box_ap
        self.early_stopping = self.early_stopping.after(score, epoch=epoch)
        is_best = self.early_stopping.epoch == epoch
        if is_best and validation.patience is not None:
            self.best = copy.deepcopy(self.averaged_network.state_dict())
        self._ticked = self._read_clock()  # validation does not count as training time
        return ValidationResult(means, is_best=is_best)

    def _copy_weights(self) -> dict[str, dict[str, Tensor]]:
        if not self.recipe.schedule.may_roll_back:
            return {}
        networks = {"network": self.network, "average": self.averaged_network}
        return {name: copy.deepcopy(network.state_dict()) for name, network in networks.items()}

    def _find_stage(self, epoch: int) -> Stage:
        """The stage of a whole epoch, also if the run is resumed in its middle."""
        start = self.progress if self.recipe.hours is not None else epoch / self.recipe.epochs
        return stage_at(self.recipe.stages, self.schedule_state.stage_progress(start))

    def batches(self, epoch: int, offset: int, stage: Stage) -> Generator[Batch, None, None]:
        """The batches of an epoch from number `offset` on; the same for the same seed and epoch."""
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
            list(range(start, min(start + recipe.batch_size, shown)))[get_rank() :: get_world_size()]
            for start in range(0, shown, recipe.batch_size)
        ]
        return load_batches(
            pictures, groups[offset:], workers=recipe.workers, pinned=self.device.type == "cuda"
        )

    def take_step(self, batch: Batch, epoch: int, stage: Stage) -> StepReport:
        settings = self.schedule_state.step_settings(self.progress)
        apply_settings(self.optimizer, settings)
        set_training(self.network, self.recipe.frozen_blocks)
        batch = batch.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bfloat16):
            heads = self.network(batch.pixels)
        terms = self._find_loss(batch, stage)(heads, batch)
        if self.teacher is not None:
            terms |= self.teacher.find_terms(heads, batch.pixels)
        self._update_weights(sum(terms.values(), start=torch.zeros((), device=self.device)))
        self.step += 1
        self.average.update_parameters(self.network)
        elapsed = self._tick()
        values = {name: term.item() for name, term in terms.items()}
        self.losses.append(broadcast_value(sum(values.values())))
        speed = len(batch.pixels) * get_world_size() / elapsed
        return StepReport(self.step, epoch, self.progress, settings.rate, settings.momentum, values, speed)

    def _find_loss(self, batch: Batch, stage: Stage) -> Loss:
        losses: dict[str, Loss] = {
            "blitzmask": partial(
                blitzmask_loss,
                weights=self.recipe.losses,
                upsampling=stage.upsampling,
                counts=self._count(batch),
            ),
            "yolact": yolact_loss,
            "csr": csr_loss,
        }
        return losses[self.network.architecture.network]

    def _count(self, batch: Batch) -> Counts | None:
        """The divisors of the loss terms, the same in all processes; None for the paper's means by image."""
        return Counts(*average_values(count_objects(batch))) if self.recipe.losses.per_batch else None

    def _tick(self) -> float:
        """The seconds since the last step, which it adds to the run's training time."""
        before, self._ticked = self._ticked, self._read_clock()
        self.seconds = broadcast_value(self.seconds + self._ticked - before)
        return self._ticked - before

    def _update_weights(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        average_gradients(self.network.parameters())
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.gradient_limit)
        self.optimizer.step()
