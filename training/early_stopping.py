"""Validation during training, and the end of a run that no longer improves."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Validation:
    """every: epochs between two validations. pictures: the most that are evaluated, spread over the val
    split.

    patience: the run ends after so many validations without improvement, and keeps its best weights. None: it
    runs to its end and keeps its last weights.
    """

    every: int = 1
    pictures: int = 500
    patience: int | None = None

    def is_due(self, epoch: int) -> bool:
        """True if a validation follows epoch number `epoch`, counted from 0."""
        return (epoch + 1) % self.every == 0


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """best: the highest score so far, of epoch number `epoch`. stale: validations since then.

    >>> state = EarlyStopping().after(0.3, epoch=0).after(0.2, epoch=1)
    >>> state.best, state.epoch, state.stale
    (0.3, 0, 1)
    """

    best: float = -1.0
    epoch: int = -1
    stale: int = 0

    def after(self, score: float, *, epoch: int) -> "EarlyStopping":
        """The state after a validation; NaN, the score of a set without objects, is no improvement."""
        if score > self.best:
            return EarlyStopping(score, epoch)
        return replace(self, stale=self.stale + 1)

    def is_out_of_patience(self, validation: Validation | None) -> bool:
        if validation is None or validation.patience is None:
            return False
        return self.stale >= validation.patience
