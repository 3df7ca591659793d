"""Statistics of a run: exact percentiles, HdrHistograms for other tools, and confidence intervals."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hdrh.histogram import HdrHistogram

Milliseconds = npt.NDArray[np.float64]

_CURVE = (
    *(0, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 92.5),
    *(95, 96, 97, 98, 99, 99.5, 99.9, 99.95, 99.99, 100),
)
_LONGEST_US = 3_600_000_000  # an hour
_DIGITS = 3
_SEED = 20
_FEWEST = 2  # values of an interval


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds; all None when nothing was answered."""

    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """`percent` of the requests took at most `milliseconds`."""

    percent: float
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval of 95 %; no bounds when there are too few values."""

    estimate: float
    low: float | None = None
    high: float | None = None


def percentile(values: Milliseconds, percent: float) -> float:
    """The smallest of the values that `percent` of them do not exceed.

    >>> percentile(np.array([4.0, 1.0, 2.0, 3.0]), 50)
    2.0
    """
    return float(np.percentile(values, percent, method="inverted_cdf"))


def summarise(values: Milliseconds) -> Latency:
    """Mean, maximum and percentiles; every latency is kept, so a percentile is one that occurred."""
    if not len(values):
        return Latency()
    return Latency(
        mean=float(values.mean()),
        p50=percentile(values, 50),
        p90=percentile(values, 90),
        p95=percentile(values, 95),
        p99=percentile(values, 99),
        p999=percentile(values, 99.9),
        max=float(values.max()),
    )


def trace_curve(values: Milliseconds) -> tuple[CurvePoint, ...]:
    """The percentile curve, up to the last percentile for which there are enough requests.

    >>> [point.percent for point in trace_curve(np.arange(10.0))][-3:]
    [85, 90, 100]
    """
    known = [percent for percent in _CURVE if percent == 100 or len(values) * (100 - percent) >= 100]
    return tuple(CurvePoint(percent, percentile(values, percent)) for percent in known if len(values))


def encode_histogram(values: Milliseconds) -> str:
    """The latencies as an HdrHistogram of microseconds with three digits, in its portable text form."""
    histogram = HdrHistogram(1, _LONGEST_US, _DIGITS)
    microseconds = np.clip(np.rint(values * 1e3), 1, _LONGEST_US).astype(np.int64)
    for value, count in zip(*np.unique(microseconds, return_counts=True), strict=True):
        histogram.record_value(int(value), int(count))
    return str(histogram.encode().decode())


def bootstrap_ratio(numerators: npt.ArrayLike, denominators: npt.ArrayLike) -> Interval:
    """Mean over mean of pairs of values: float [rounds] each.

    Whole pairs are resampled: a disturbance that slows both sides of a pair leaves the ratio as it is.

    >>> bootstrap_ratio([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    Interval(estimate=2.0, low=2.0, high=2.0)
    """
    pairs = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    return _bootstrap(pairs, lambda above, below, axis: above.mean(axis) / below.mean(axis))


def bootstrap_median(values: npt.ArrayLike) -> Interval:
    """Median of values: float [N].

    >>> bootstrap_median([1.0, 1.0, 1.0, 9.0, 1.0])
    Interval(estimate=1.0, low=1.0, high=9.0)
    """
    return _bootstrap((np.asarray(values, np.float64),), np.median)


def _bootstrap(samples: tuple[Milliseconds, ...], statistic: Callable[..., Any]) -> Interval:
    from scipy import stats  # it takes longer to import than all the rest, and few runs need it early

    estimate = float(statistic(*samples, axis=-1))
    if len(samples[0]) < _FEWEST:
        return Interval(estimate)
    found = stats.bootstrap(samples, statistic, paired=True, method="percentile", rng=_SEED)
    low, high = found.confidence_interval
    return Interval(estimate, float(low), float(high))
