"""How sure a ratio is: confidence intervals by resampling rounds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_RESAMPLES = 10_000
_SEED = 20


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, and the bounds between which it lies in 95 of 100 cases."""

    estimate: float
    low: float
    high: float


def bootstrap_ratio(numerators: npt.ArrayLike, denominators: npt.ArrayLike) -> Interval:
    """Mean over mean of values measured in pairs: float [rounds] each.

    Whole rounds are resampled, so that what disturbs both sides of a round cancels out.

    >>> bootstrap_ratio([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    Interval(estimate=2.0, low=2.0, high=2.0)
    """
    above, below = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    rounds = np.random.default_rng(_SEED).integers(len(above), size=(_RESAMPLES, len(above)))
    ratios = above[rounds].mean(axis=1) / below[rounds].mean(axis=1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return Interval(float(above.mean() / below.mean()), float(low), float(high))


def bootstrap_median(values: npt.ArrayLike) -> Interval:
    """Median of some values, float [N], at least one.

    >>> bootstrap_median([1.0, 1.0, 1.0, 9.0, 1.0])
    Interval(estimate=1.0, low=1.0, high=9.0)
    """
    found = np.asarray(values, np.float64)
    drawn = np.random.default_rng(_SEED).integers(len(found), size=(_RESAMPLES, len(found)))
    low, high = np.percentile(np.median(found[drawn], axis=1), [2.5, 97.5])
    return Interval(float(np.median(found)), float(low), float(high))
