import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from loadtest.measurement.statistics import (
    Interval,
    Latency,
    bootstrap_ratio,
    encode_histogram,
    percentile,
    summarise,
    trace_curve,
)


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=50), st.floats(0.1, 100))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(
    values: list[float], percent: float
) -> None:
    found = percentile(np.array(values), percent)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * percent / 100 - 1e-6
    assert sum(value < found for value in values) < len(values) * percent / 100 + 1e-6


def test_the_summary_is_in_order() -> None:
    latency = summarise(np.random.default_rng(1).exponential(10, 5000))
    figures = [latency.p50, latency.p90, latency.p95, latency.p99, latency.p999, latency.max]
    assert figures == sorted(set(figures), key=lambda figure: figure or 0)
    assert latency.p50 == pytest.approx(10 * np.log(2), rel=0.1)


def test_no_answers_have_no_latency() -> None:
    assert summarise(np.zeros(0)) == Latency()
    assert trace_curve(np.zeros(0)) == ()


def test_a_curve_goes_no_further_than_its_requests_tell() -> None:
    ten, many = trace_curve(np.arange(10.0)), trace_curve(np.arange(10_000.0))
    assert max(point.percent for point in ten if point.percent < 100) == 90
    assert max(point.percent for point in many if point.percent < 100) == 99.99
    assert [point.milliseconds for point in many] == sorted(point.milliseconds for point in many)


def test_every_latency_is_counted() -> None:
    values = np.random.default_rng(0).lognormal(3, 1.5, 5000)
    histogram = HdrHistogram.decode(encode_histogram(values))
    assert histogram.get_total_count() == 5000
    assert histogram.get_value_at_percentile(50) == pytest.approx(1e3 * percentile(values, 50), rel=1e-3)


def test_a_single_value_has_no_interval() -> None:
    assert bootstrap_ratio([3.0], [2.0]) == Interval(1.5)


def test_a_ratio_that_is_the_same_in_every_round_is_certain() -> None:
    drifting = np.linspace(50, 200, 12)  # a machine that grows four times as fast in the run
    ratio = bootstrap_ratio(1.1 * drifting, drifting)
    assert (ratio.estimate, ratio.low, ratio.high) == pytest.approx((1.1, 1.1, 1.1))
