"""Schedules of learning rate and momentum.

A `Schedule` is part of a recipe. `begin` gives its first `ScheduleState`, and the end of each epoch gives the
next one. `progress` is the finished share of the run, from 0 to 1, for schedules that know a run's length.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from training.lrfinder import LrFinder, LrState, Phase


class Diverged(Exception):
    """The loss is no longer a number, and the schedule cannot continue."""


@dataclass(frozen=True, slots=True)
class StepSettings:
    """The settings of one step; AdamW ignores the momentum."""

    rate: float
    momentum: float


class ScheduleState(Protocol):
    """A schedule at some point of a run; immutable."""

    def step_settings(self, progress: float) -> StepSettings:
        """The settings of the next step."""
        ...

    def stage_progress(self, progress: float) -> float:
        """The number that the `until` of the recipe's stages is compared with."""
        ...

    def is_over(self, progress: float) -> bool:
        """True if the run ends here."""
        ...

    @property
    def rolls_back(self) -> bool:
        """True if the weights must be set back to those before the last epoch."""
        ...

    def after_epoch(self, loss: float) -> "ScheduleState":
        """The state after an epoch with that mean loss; NaN or infinity may end an epoch early.

        Raises Diverged if the schedule cannot continue from there.
        """
        ...

    def to_dict(self) -> dict[str, Any]:
        """The plain values that `Schedule.resume` needs."""
        ...


class Schedule(Protocol):
    """A recipe's choice of schedule."""

    @property
    def may_roll_back(self) -> bool:
        """True if a state may roll back, so that the weights before each epoch must be kept."""
        ...

    def begin(self, peak: StepSettings) -> ScheduleState:
        """The state at the start of a run; peak: the recipe's rate and momentum."""
        ...

    def resume(self, peak: StepSettings, saved: Mapping[str, Any]) -> ScheduleState:
        """The state that `to_dict` was called on."""
        ...


@dataclass(frozen=True, slots=True)
class CurveState:
    """The state of a schedule that depends on the progress alone."""

    curve: "CurveSchedule"
    peak: StepSettings

    def step_settings(self, progress: float) -> StepSettings:
        return StepSettings(self.peak.rate * self.curve.share(progress), self.peak.momentum)

    def stage_progress(self, progress: float) -> float:
        return progress

    def is_over(self, progress: float) -> bool:
        return progress >= 1

    @property
    def rolls_back(self) -> bool:
        return False

    def after_epoch(self, loss: float) -> "CurveState":
        if not math.isfinite(loss):
            raise Diverged(
                f"the training loss is {loss}: set a lower rate than {self.peak.rate:g} or a lower "
                "gradient_limit in the recipe, or use schedule=lrfinder"
            )
        return self

    def to_dict(self) -> dict[str, Any]:
        return {}


class CurveSchedule(ABC):
    """A schedule whose rate depends on the progress alone."""

    __slots__ = ()

    @abstractmethod
    def share(self, progress: float) -> float:
        """The share of the peak rate."""

    @property
    def may_roll_back(self) -> bool:
        return False

    def begin(self, peak: StepSettings) -> ScheduleState:
        return CurveState(self, peak)

    def resume(self, peak: StepSettings, saved: Mapping[str, Any]) -> ScheduleState:
        return CurveState(self, peak)


@dataclass(frozen=True, slots=True)
class Cosine(CurveSchedule):
    """Linear warm-up for the share `warm_up` of the run, then half a cosine down to 0.

    >>> [round(Cosine(0.1).share(progress), 2) for progress in (0.05, 0.1, 0.55, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """

    warm_up: float = 0.05

    def share(self, progress: float) -> float:
        if progress < self.warm_up:
            return progress / self.warm_up
        return (1 + math.cos(math.pi * min(1.0, (progress - self.warm_up) / (1 - self.warm_up)))) / 2


@dataclass(frozen=True, slots=True)
class Trapezoid(CurveSchedule):
    """Linear warm-up for the share `warm_up` of the run, a constant rate, then a decay to 0 over the last
    `decay`.

    The decay is 1 - sqrt(x) with x from 0 to 1, the best form of Hägele et al. (2024). Before the decay the
    rate does not depend on the run's length. So the length can be chosen during the run: resume with `epochs`
    set to the epochs so far divided by 1 - decay, and the decay begins at once. The recipe's stages are
    shares of the run too.

    >>> [round(Trapezoid(0.1, 0.4).share(progress), 2) for progress in (0.05, 0.1, 0.6, 0.7, 1.0)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """

    warm_up: float = 0.02
    decay: float = 0.25

    def share(self, progress: float) -> float:
        if progress < self.warm_up:
            return progress / self.warm_up
        return 1 - math.sqrt(min(1.0, max(0.0, progress - (1 - self.decay)) / self.decay))


@dataclass(frozen=True, slots=True)
class Steps(CurveSchedule):
    """A piece-wise constant rate, the paper's baseline (BlitzMask, table 3).

    After a linear warm-up for the share `warm_up`, each milestone multiplies the rate by `factor`.
    """

    milestones: Sequence[float] = (0.65, 0.9)
    factor: float = 0.1
    warm_up: float = 0.0

    def share(self, progress: float) -> float:
        if progress < self.warm_up:
            return progress / self.warm_up
        return self.factor ** sum(progress >= milestone for milestone in self.milestones)


@dataclass(frozen=True, slots=True)
class FinderState:
    """The state of the paper's LRfinder; its stage progress is 0 in the search and 1 in the tuning."""

    finder: LrFinder
    state: LrState

    def step_settings(self, progress: float) -> StepSettings:
        return StepSettings(self.state.rate, self.state.momentum)

    def stage_progress(self, progress: float) -> float:
        return float(self.state.upsample_masks)

    def is_over(self, progress: float) -> bool:
        return self.state.phase is Phase.DONE

    @property
    def rolls_back(self) -> bool:
        return self.state.restore

    def after_epoch(self, loss: float) -> "FinderState":
        return FinderState(self.finder, self.finder.advance(self.state, loss=loss))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self.state) | {"phase": self.state.phase.value}


@dataclass(frozen=True, slots=True)
class LrFinderSchedule:
    """The paper's LRfinder as a recipe's schedule; it ignores the recipe's rate and finds its own."""

    finder: LrFinder = field(default_factory=LrFinder)

    @property
    def may_roll_back(self) -> bool:
        return True

    def begin(self, peak: StepSettings) -> ScheduleState:
        return FinderState(self.finder, self.finder.start())

    def resume(self, peak: StepSettings, saved: Mapping[str, Any]) -> ScheduleState:
        return FinderState(self.finder, LrState(**{**saved, "phase": Phase(saved["phase"])}))
