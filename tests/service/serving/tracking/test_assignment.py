"""The assignment of detections to tracks, compared with SciPy's."""

import numpy as np
import pytest

from service.serving.tracking.association import assign_pairs

optimize = pytest.importorskip("scipy.optimize", reason="compares with SciPy")


@pytest.mark.parametrize("density", [0.02, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (5, 5), (30, 40), (40, 30), (60, 60)])
def test_the_pairs_are_those_of_scipy(shape: tuple[int, int], density: float) -> None:
    generator = np.random.default_rng(11)
    for _ in range(20):
        gains = np.where(generator.random(shape) < density, generator.random(shape), 0.0)
        rows, columns = optimize.linear_sum_assignment(gains, maximize=True)
        expected = [(row, column) for row, column in zip(rows, columns, strict=True) if gains[row, column]]
        found = assign_pairs(gains)
        assert found == sorted(found)
        assert found == expected


def test_the_sum_is_the_largest_where_several_assignments_have_it() -> None:
    generator = np.random.default_rng(12)
    for _ in range(50):
        gains = generator.integers(0, 3, (12, 15)) / 2
        rows, columns = optimize.linear_sum_assignment(gains, maximize=True)
        found = assign_pairs(gains)
        assert sum(gains[pair] for pair in found) == gains[rows, columns].sum()
        assert len({row for row, _ in found}) == len({column for _, column in found}) == len(found)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (4, 4)])
def test_without_gains_there_are_no_pairs(shape: tuple[int, int]) -> None:
    assert assign_pairs(np.zeros(shape)) == []
