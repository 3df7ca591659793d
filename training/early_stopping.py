"""When to look how good a network has become, and when to stop because it becomes no better."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Examination:
    """every: epochs between two. pictures: of the val split, at most, evenly from all over it.

    patience: examinations without a better one before the run ends, with the weights of the best; None: it
    goes on to its end, with the weights it has there.
    """

    every: int = 1
    pictures: int = 500
    patience: int | None = None

    def is_due(self, epoch: int) -> bool:
        """Whether there is one after epoch number `epoch`, from 0."""
        return (epoch + 1) % self.every == 0


@dataclass(frozen=True, slots=True)
class Watch:
    """best: the highest score so far, of epoch number `epoch`. stale: examinations since then.

    >>> watch = Watch().after(0.3, epoch=0).after(0.2, epoch=1)
    >>> watch.best, watch.epoch, watch.stale
    (0.3, 0, 1)
    """

    best: float = -1.0
    epoch: int = -1
    stale: int = 0

    def after(self, score: float, *, epoch: int) -> "Watch":
        """NaN, the score where there is nothing to find, is no better than any."""
        if score > self.best:
            return Watch(score, epoch)
        return replace(self, stale=self.stale + 1)

    def is_out_of_patience(self, examination: Examination | None) -> bool:
        if examination is None or examination.patience is None:
            return False
        return self.stale >= examination.patience
