import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.latencies import Latency, percentile, summarise, trace_curve


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 50), (95, 95), (99, 99), (99.9, 100), (100, 100), (0, 1)]
)
def test_percentiles_of_one_to_a_hundred_are_nearest_ranks(percent: float, expected: float) -> None:
    values = np.random.default_rng(0).permutation(np.arange(1.0, 101.0))
    assert percentile(values, percent) == expected


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
