import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.schedule import Arrivals, schedule_arrivals

RATES = st.floats(0.1, 500)
SECONDS = st.floats(0, 20)


def test_constant_arrivals_are_evenly_spaced() -> None:
    assert schedule_arrivals("constant", 4, seconds=1, seed=0).tolist() == [0, 0.25, 0.5, 0.75]


def test_poisson_gaps_are_exponential() -> None:
    offsets = schedule_arrivals("poisson", 100, seconds=1000, seed=3)
    gaps = np.diff(offsets)
    assert len(offsets) == pytest.approx(100_000, rel=0.02)
    assert gaps.mean() == pytest.approx(0.01, rel=0.02)
    assert gaps.std() == pytest.approx(0.01, rel=0.03)  # an exponential's deviation is its mean
    assert (gaps > 0.02).mean() == pytest.approx(np.exp(-2), rel=0.05)
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 0.02


def test_counts_of_poisson_arrivals_vary_as_much_as_their_mean() -> None:
    offsets = schedule_arrivals("poisson", 50, seconds=2000, seed=4)
    counts = np.bincount(offsets.astype(int), minlength=2000)
    assert counts.var() == pytest.approx(counts.mean(), rel=0.15)


def test_a_schedule_can_be_repeated_and_another_seed_gives_another() -> None:
    first, again, other = (schedule_arrivals("poisson", 100, seconds=5, seed=seed) for seed in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


@given(st.sampled_from(["poisson", "constant"]), RATES, SECONDS, st.integers(0, 99))
def test_offsets_are_in_order_and_within_the_run(
    arrivals: Arrivals, rate: float, seconds: float, seed: int
) -> None:
    offsets = schedule_arrivals(arrivals, rate, seconds=seconds, seed=seed)
    assert (np.diff(offsets) >= 0).all()
    assert ((offsets >= 0) & (offsets <= seconds)).all()
