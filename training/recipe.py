"""What a training run is made of; `recipes/` holds some."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from training.augment import Augmentation
from training.course import Cosine, Pace, Schedule
from training.groundtruth import TargetRules
from training.losses import LossWeights
from training.networks.blitzmask import Architecture
from training.watch import Examination


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of the run, up to the share `until` of it.

    side: of the square canvas, pixels. upsampling: of masks before they are compared; the paper ends with 3.
    mask_cells: cells of an object at which its mask is learnt, where the rules are `dense`.
    """

    until: float
    side: int
    upsampling: int = 1
    mask_cells: int = 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole run.

    epochs: its length; when `hours` is given the run is that long instead and its rate follows the clock, for
    machines whose speed is not known beforehand (such a run cannot be repeated exactly). With `Found` as its
    schedule a run is as long as it takes, and the epochs are but an estimate for the progress bar.
    rate: peak learning rate; the backbone's is `backbone_rate` of it. momentum: of SGD; AdamW has its own.
    frozen_blocks: leading backbone blocks that keep their weights and statistics.
    repeat_threshold: pictures of a category that a smaller share of them holds are shown more often, see
        `balance.find_repeats`; 0: all are shown alike.
    mask_share: pictures that hold a mask are this share of the pictures shown; None: what they are in the
    data.
    trust_absence: a picture's `assumed_absent_category_ids` are negatives, as completely labelled ones are.
    average_decay: of the running average of the weights, which is what is evaluated and exported.
    origin: what to start from, see `origin.start_network`; None: random weights.
    snapshot_minutes: after so many minutes of training each, a copy of the averaged weights is kept in
    snapshots/;
        None: no copies.
    examination: when to judge the network by the val split; None: never.
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
    origin: Path | None = None
    snapshot_minutes: float | None = None
    examination: Examination | None = None

    @property
    def peak(self) -> Pace:
        return Pace(self.rate, self.momentum)

    def architecture(self, classes: int) -> Architecture:
        return Architecture(
            classes=classes,
            backbone=self.backbone,
            width=self.width,
            neck_channels=self.neck_channels,
            masks=self.masks,
        )


def stage_at(stages: Sequence[Stage], progress: float) -> Stage:
    """The stage that holds at `progress`, a share of the run.

    >>> stage_at((Stage(0.7, 256), Stage(1.0, 320)), 0.7).side
    320
    """
    return next((stage for stage in stages if progress < stage.until), stages[-1])
