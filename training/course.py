"""What the training loop asks a schedule, be it one that follows the clock or one that follows the loss.

A course is a schedule at some point of a run, and does not change: the end of an epoch gives the next one.
`progress` is the share of the run that is over, from 0 to 1, for schedules that know how long a run is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from training.lrfinder import LrFinder, LrState, Phase
from training.schedule import cosine_rate, trapezoid_rate


class Diverged(Exception):
    """The loss is no longer a number, and the schedule has no way back."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What a step is taken with; an optimiser without momentum ignores it."""

    rate: float
    momentum: float


class Course(Protocol):
    """A schedule on its way."""

    def pace(self, progress: float) -> Pace:
        """Of the next step."""
        ...

    def place(self, progress: float) -> float:
        """Where the run stands among the recipe's stages."""
        ...

    def is_over(self, progress: float) -> bool:
        """Whether there is no next step."""
        ...

    @property
    def goes_back(self) -> bool:
        """Whether the epoch just over has to be undone: the weights set back to those before it."""
        ...

    def after_epoch(self, loss: float) -> "Course":
        """The course after an epoch with that mean loss; NaN or infinity may end an epoch early.

        Raises Diverged where the schedule cannot go on from there.
        """
        ...

    def to_dict(self) -> dict[str, Any]:
        """All that `Schedule.resume` needs, in plain values."""
        ...


class Schedule(Protocol):
    """A recipe's choice of how rate and momentum go."""

    @property
    def may_go_back(self) -> bool:
        """Whether its courses may ask for the weights before an epoch, which then have to be kept."""
        ...

    def begin(self, peak: Pace) -> Course:
        """The course of a new run; peak: the recipe's rate and momentum."""
        ...

    def resume(self, peak: Pace, saved: Mapping[str, Any]) -> Course:
        """The course as it was when it gave `saved`."""
        ...


@dataclass(frozen=True, slots=True)
class TimedCourse:
    """A rate that follows the progress; it has nothing to remember."""

    schedule: "Timed"
    peak: Pace

    def pace(self, progress: float) -> Pace:
        return Pace(self.peak.rate * self.schedule.share(progress), self.peak.momentum)

    def place(self, progress: float) -> float:
        return progress

    def is_over(self, progress: float) -> bool:
        return progress >= 1

    @property
    def goes_back(self) -> bool:
        return False

    def after_epoch(self, loss: float) -> "TimedCourse":
        if not math.isfinite(loss):
            raise Diverged(
                f"the training loss is {loss}: lower the recipe's rate ({self.peak.rate:g}) or its "
                "gradient_limit, or let LrFinder find the rate"
            )
        return self

    def to_dict(self) -> dict[str, Any]:
        return {}


class Timed(Protocol):
    """A schedule that is a function of the progress."""

    def share(self, progress: float) -> float:
        """Of the peak rate."""
        ...


@dataclass(frozen=True, slots=True)
class Cosine:
    """Linear growth for the share `warm_up` of the run, then half a cosine down to 0."""

    warm_up: float = 0.05

    @property
    def may_go_back(self) -> bool:
        return False

    def share(self, progress: float) -> float:
        return cosine_rate(progress, self.warm_up)

    def begin(self, peak: Pace) -> Course:
        return TimedCourse(self, peak)

    def resume(self, peak: Pace, saved: Mapping[str, Any]) -> Course:
        return self.begin(peak)


@dataclass(frozen=True, slots=True)
class Trapezoid:
    """Linear growth for the share `warm_up` of the run, a flat stretch, then a fall to 0 over the last
    `decay`.

    The fall is 1 - sqrt(x), where x grows from 0 to 1, which Hägele et al. (2024) found best. Before the fall
    begins nothing depends on the length of the run, so that it may be chosen late: resume with `epochs` set
    to those so far, divided by 1 - decay, and the fall begins at once. (The stages are shares of the run
    too.)
    """

    warm_up: float = 0.02
    decay: float = 0.25

    @property
    def may_go_back(self) -> bool:
        return False

    def share(self, progress: float) -> float:
        return trapezoid_rate(progress, self.warm_up, self.decay)

    def begin(self, peak: Pace) -> Course:
        return TimedCourse(self, peak)

    def resume(self, peak: Pace, saved: Mapping[str, Any]) -> Course:
        return self.begin(peak)


@dataclass(frozen=True, slots=True)
class Steps:
    """A piece-wise constant rate: the paper's baseline (BlitzMask, table 3).

    After linear growth for the share `warm_up`, `factor` times as much from each milestone on.
    """

    milestones: Sequence[float] = (0.65, 0.9)
    factor: float = 0.1
    warm_up: float = 0.0

    @property
    def may_go_back(self) -> bool:
        return False

    def share(self, progress: float) -> float:
        if progress < self.warm_up:
            return progress / self.warm_up
        return self.factor ** sum(progress >= milestone for milestone in self.milestones)

    def begin(self, peak: Pace) -> Course:
        return TimedCourse(self, peak)

    def resume(self, peak: Pace, saved: Mapping[str, Any]) -> Course:
        return self.begin(peak)


@dataclass(frozen=True, slots=True)
class FoundCourse:
    """The paper's LRfinder; its stages are two: the search until place 1, then the tuning."""

    finder: LrFinder
    state: LrState

    def pace(self, progress: float) -> Pace:
        return Pace(self.state.rate, self.state.momentum)

    def place(self, progress: float) -> float:
        return float(self.state.upsample_masks)

    def is_over(self, progress: float) -> bool:
        return self.state.phase is Phase.DONE

    @property
    def goes_back(self) -> bool:
        return self.state.restore

    def after_epoch(self, loss: float) -> "FoundCourse":
        return FoundCourse(self.finder, self.finder.advance(self.state, loss=loss))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self.state) | {"phase": self.state.phase.value}


@dataclass(frozen=True, slots=True)
class Found:
    """LRfinder as a recipe's schedule: it finds the rate itself, whatever the recipe's is."""

    finder: LrFinder = field(default_factory=LrFinder)

    @property
    def may_go_back(self) -> bool:
        return True

    def begin(self, peak: Pace) -> Course:
        return FoundCourse(self.finder, self.finder.start())

    def resume(self, peak: Pace, saved: Mapping[str, Any]) -> Course:
        return FoundCourse(self.finder, LrState(**{**saved, "phase": Phase(saved["phase"])}))
