"""The paper's LRfinder schedule as a state machine, driven by training losses (BlitzMask, sec. 4.1, appendix
A).

Ascent finds the highest rate that still learns, plateau lowers the momentum, descent lowers the rate, and a
short tuning with x3-upsampled masks follows.

>>> schedule = LrFinder()
>>> state = schedule.start()
>>> state.rate, state.momentum
(0.0025, 0.9)
>>> schedule.advance(state, loss=5.0).rate
0.005
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum


class Phase(StrEnum):
    """The phases, in order."""

    ASCENT = "ascent"
    PLATEAU = "plateau"
    DESCENT = "descent"
    TUNE = "tune"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class LrState:
    """The next epoch, and the schedule's memory.

    rate, momentum: the optimiser's settings in this epoch.
    restore: the last epoch made the loss worse, so that the weights before it must be loaded.
    step: the number of halvings (ascent), momentum drops (plateau) or rate drops (descent) so far.
    good_loss: loss of the last epoch whose weights were kept. best_loss: the lowest loss of this phase.
    stale: epochs in this step without a better loss.
    """

    phase: Phase
    epoch: int
    rate: float
    momentum: float
    restore: bool = False
    step: int = 0
    good_loss: float = math.inf
    best_loss: float = math.inf
    stale: int = 0

    @property
    def upsample_masks(self) -> bool:
        """True if the mask losses compare x3-upsampled masks (BlitzMask, sec. 3.2)."""
        return self.phase is Phase.TUNE


@dataclass(frozen=True, slots=True)
class LrFinder:
    """The schedule's parameters; the defaults are the paper's values for EfficientNet-Lite B0."""

    growth: float = 0.0025
    halvings: int = 3
    patience: int = 5
    momenta: tuple[float, ...] = (0.9, 0.63, 0.44, 0.3)
    descents: tuple[float, ...] = (0.1, 0.01, 0.001)
    tune_rate: float = 1e-4
    tune_momentum: float = 0.9
    tune_epochs: int = 30

    def start(self) -> LrState:
        """The first epoch; its rate is `growth`."""
        return LrState(Phase.ASCENT, epoch=1, rate=self.growth, momentum=self.momenta[0])

    def advance(self, state: LrState, *, loss: float) -> LrState:
        """The state after an epoch with that mean training loss; NaN or infinity counts as divergence.

        Raises ValueError if the schedule is already done.
        """
        if state.phase is Phase.DONE:
            raise ValueError("the schedule is done: start a new one to continue")
        after = {
            Phase.ASCENT: self._ascend,
            Phase.PLATEAU: self._hold,
            Phase.DESCENT: self._hold,
            Phase.TUNE: self._tune,
        }[state.phase](replace(state, epoch=state.epoch + 1, restore=not math.isfinite(loss)), loss)
        return after if after.restore else replace(after, good_loss=loss)

    def _ascend(self, state: LrState, loss: float) -> LrState:
        if loss <= state.good_loss:
            return replace(state, rate=state.rate + self.growth / 2**state.step)
        if state.step < self.halvings:
            growth = self.growth / 2 ** (state.step + 1)
            return replace(state, restore=True, step=state.step + 1, rate=state.rate + growth)
        return replace(state, phase=Phase.PLATEAU, restore=True, step=0, stale=0)

    def _hold(self, state: LrState, loss: float) -> LrState:
        if loss < state.best_loss:
            return replace(state, best_loss=loss, stale=0)
        state = replace(state, stale=state.stale + 1)
        return self._next_step(state) if state.restore or state.stale >= self.patience else state

    def _next_step(self, state: LrState) -> LrState:
        step = state.step + 1
        if state.phase is Phase.PLATEAU and step < len(self.momenta):
            return replace(state, step=step, stale=0, momentum=self.momenta[step])
        if state.phase is Phase.PLATEAU:
            descended = state.rate * self.descents[0]
            return replace(state, phase=Phase.DESCENT, step=0, stale=0, rate=descended)
        if step < len(self.descents):
            rate = state.rate / self.descents[step - 1] * self.descents[step]
            return replace(state, step=step, stale=0, rate=rate)
        return replace(
            state, phase=Phase.TUNE, step=0, stale=0, rate=self.tune_rate, momentum=self.tune_momentum
        )

    def _tune(self, state: LrState, loss: float) -> LrState:
        step = state.step + 1
        return replace(state, step=step, phase=Phase.DONE if step >= self.tune_epochs else Phase.TUNE)
