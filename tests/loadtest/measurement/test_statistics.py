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


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [  # written by HdrHistogram_py 0.10.8
        (
            [1.0, 2.5, 2.5, 40.0, 1234.5],
            "HISTFAAAACx4nJNpmSzMwMDAwwABzFCaEURcm7yEwf4DROA8P9NHYZa/9kyL/ZkApp4IrQ==",
        ),
        ([5.0], "HISTFAAAACJ4nJNpmSzMwMDAzAABMJoRRFybvITB/gNE4LAxEwBhjAWC"),
        ([], "HISTFAAAABx4nJNpmSzMgADMUJoRRFybvITB/gNEAABQ2gSH"),
        (
            [0.0, 0.001, 1.0, 2.048, 2.047, 3.6e6, 9e9],
            "HISTFAAAACx4nJNpmSzMwMDAywABzFCaEURcm7yEwf4DVIDlND/TagEmpqenmFgAo4EH6Q==",
        ),
    ],
)
def test_histograms_are_those_of_the_reference_implementation(
    milliseconds: list[float], expected: str
) -> None:
    assert encode_histogram(np.array(milliseconds)) == expected


def test_every_latency_is_counted() -> None:
    values = np.random.default_rng(0).lognormal(3, 1.5, 5000)
    histogram = HdrHistogram.decode(encode_histogram(values))
    assert histogram.get_total_count() == 5000
    assert histogram.get_value_at_percentile(50) == pytest.approx(1e3 * percentile(values, 50), rel=1e-3)


def width(interval: Interval) -> float:
    assert interval.low is not None
    assert interval.high is not None
    return interval.high - interval.low


def test_a_single_value_has_no_interval() -> None:
    assert bootstrap_ratio([3.0], [2.0]) == Interval(1.5)


def test_a_ratio_that_is_the_same_in_every_round_is_certain() -> None:
    drifting = np.linspace(50, 200, 12)  # a machine that grows four times as fast in the run
    ratio = bootstrap_ratio(1.1 * drifting, drifting)
    assert (ratio.estimate, ratio.low, ratio.high) == pytest.approx((1.1, 1.1, 1.1))


def test_noise_widens_the_interval_and_rounds_narrow_it() -> None:
    random = np.random.default_rng(0)
    few, many = (
        bootstrap_ratio(random.normal(100, 10, rounds), random.normal(100, 10, rounds)) for rounds in (8, 200)
    )
    assert width(many) < 0.5 * width(few)
    assert few.low is not None
    assert few.low < few.estimate


def test_the_interval_holds_the_truth_nineteen_times_in_twenty() -> None:
    random = np.random.default_rng(1)
    held = 0
    for _ in range(100):
        ratio = bootstrap_ratio(random.normal(120, 12, 20), random.normal(100, 10, 20))
        held += (ratio.low or 2) <= 1.2 <= (ratio.high or 0)
    assert 87 <= held <= 99
