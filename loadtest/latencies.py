"""Latencies in milliseconds, summarised exactly: every one is kept, so a percentile is one that occurred."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Milliseconds = npt.NDArray[np.float64]

_CURVE = (
    0,
    10,
    20,
    30,
    40,
    50,
    60,
    70,
    75,
    80,
    85,
    90,
    92.5,
    95,
    96,
    97,
    98,
    99,
    99.5,
    99.9,
    99.95,
    99.99,
    100,
)


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


def percentile(values: Milliseconds, percent: float) -> float:
    """The smallest of the values that `percent` of them do not exceed.

    >>> percentile(np.array([4.0, 1.0, 2.0, 3.0]), 50)
    2.0
    """
    return float(np.percentile(values, percent, method="inverted_cdf"))


def summarise(values: Milliseconds) -> Latency:
    """The figures people compare."""
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
    """The percentile curve, as far out as there are requests to tell.

    >>> [point.percent for point in trace_curve(np.arange(10.0))][-3:]
    [85, 90, 100]
    """
    telling = [percent for percent in _CURVE if percent == 100 or len(values) * (100 - percent) >= 100]
    return tuple(CurvePoint(percent, percentile(values, percent)) for percent in telling if len(values))
