"""The options of a training run; `recipes/` has ready ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from training.data.augment import Augmentation
from training.data.groundtruth import TargetRules
from training.early_stopping import Validation
from training.losses import LossWeights
from training.lr_schedule import Cosine, Schedule, StepSettings
from training.networks.blitzmask import Architecture


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the run, up to the share `until` of it.

    side: of the square canvas, pixels. upsampling: of masks before they are compared; the paper ends with 3.
    mask_cells: cells of an object at which its mask is learnt, if `rules.dense`.
    """

    until: float
    side: int
    upsampling: int = 1
    mask_cells: int = 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """A training run.

    epochs: its length. hours: its length by the clock instead, for machines of unknown speed; such a run
    cannot be
        repeated exactly. With `LrFinderSchedule` the run takes as long as the schedule needs, and the epochs
        are an estimate for the progress bar.
    rate: peak learning rate; the backbone's is `backbone_rate` times as large. momentum: of SGD.
    frozen_blocks: the first backbone blocks, whose weights and statistics do not change.
    repeat_threshold: pictures of categories in a smaller share of the pictures are shown more often, see
        `training_set.repeat_factors`; 0: all are shown alike.
    mask_share: pictures with masks are this share of the pictures shown; None: their share of the data.
    trust_absence: a picture's `assumed_absent_category_ids` give negatives.
    average_decay: of the running average of the weights, which is evaluated and exported.
    init_weights: see `init_weights`; None: random weights.
    snapshot_minutes: of training between two copies of the averaged weights in snapshots/; None: no copies.
    validation: evaluations on the val split during the run; None: none.
    """

    neck_channels: int = 128
    backbone: str = "mobilenet_v2"
    width: float = 1.0
    masks: bool = True
    epochs: float = 60
    hours: float | None = None
    stages: tuple[Stage, ...] = (Stage(until=1.0, side=320),)
    batch_size: int = 16
    optimizer: Literal["adamw", "sgd"] = "adamw"
    schedule: Schedule = field(default_factory=Cosine)
    rate: float = 1e-3
    momentum: float = 0.9
    backbone_rate: float = 0.5
    weight_decay: float = 0.05
    gradient_limit: float = 10.0
    frozen_blocks: int = 0
    repeat_threshold: float = 0.0
    mask_share: float | None = None
    trust_absence: bool = True
    average_decay: float = 0.998
    bfloat16: bool = True
    workers: int = 2
    seed: int = 0
    rules: TargetRules = field(default_factory=TargetRules)
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    losses: LossWeights = field(default_factory=LossWeights)
    init_weights: Path | None = None
    snapshot_minutes: float | None = None
    validation: Validation | None = None

    @property
    def peak(self) -> StepSettings:
        return StepSettings(self.rate, self.momentum)

    def architecture(self, classes: int) -> Architecture:
        return Architecture(
            classes=classes,
            backbone=self.backbone,
            width=self.width,
            neck_channels=self.neck_channels,
            masks=self.masks,
        )


def stage_at(stages: Sequence[Stage], progress: float) -> Stage:
    """The stage at `progress`, a share of the run.

    >>> stage_at((Stage(0.7, 256), Stage(1.0, 320)), 0.7).side
    320
    """
    return next((stage for stage in stages if progress < stage.until), stages[-1])
