import numpy as np
import pytest

from loadtest.bootstrap import bootstrap_ratio


def test_a_ratio_that_is_the_same_in_every_round_is_certain() -> None:
    drifting = np.linspace(50, 200, 12)  # a machine that grows four times as fast in the run
    ratio = bootstrap_ratio(1.1 * drifting, drifting)
    assert (ratio.estimate, ratio.low, ratio.high) == pytest.approx((1.1, 1.1, 1.1))


def test_noise_widens_the_interval_and_rounds_narrow_it() -> None:
    random = np.random.default_rng(0)
    few, many = (
        bootstrap_ratio(random.normal(100, 10, rounds), random.normal(100, 10, rounds)) for rounds in (8, 200)
    )
    assert few.low < few.estimate < few.high
    assert many.high - many.low < 0.5 * (few.high - few.low)


def test_the_interval_holds_the_truth_nineteen_times_in_twenty() -> None:
    random = np.random.default_rng(1)
    held = 0
    for _ in range(100):
        ratio = bootstrap_ratio(random.normal(120, 12, 20), random.normal(100, 10, 20))
        held += ratio.low <= 1.2 <= ratio.high
    assert 87 <= held <= 99
