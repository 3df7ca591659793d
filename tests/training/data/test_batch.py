"""The cells at which boxes and masks are learnt, against values worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.types import Size
from training.data.batch import Samples, choose_mask_cells, dense_samples, distances, single_samples

CANVAS = Size(64, 64)


def sample(boxes: list[list[float]], cells: list[list[int]], alpha: float = 0.54) -> Samples:
    return dense_samples(np.array(boxes, float), np.array(cells), canvas=CANVAS, alpha=alpha)


def cells_of(samples: Samples, number: int) -> set[tuple[int, int]]:
    return {(int(i), int(j)) for i, j in samples.cell[samples.owner == number]}


def test_a_single_sample_is_the_cell_of_the_centre() -> None:
    samples = single_samples(np.array([[8.0, 16, 40, 32]]), np.array([[6, 6]]), np.array([True]))
    assert samples.size.tolist() == [[16, 8, 16, 8]]
    assert (samples.owner.tolist(), samples.weight.tolist(), samples.masked.tolist()) == ([0], [1], [True])


def test_weights_are_a_gaussian_that_sums_to_1() -> None:
    samples = sample([[8, 16, 40, 32]], [[6, 6]])
    weights = {
        tuple(cell): weight for cell, weight in zip(samples.cell.tolist(), samples.weight, strict=True)
    }
    assert len(weights) == 5 * 3  # the radius is 0.54 * 32 / 2 / 4 = 2 cells across, 1 up and down
    across, down = (2 * 2 + 1) / 6, (2 * 1 + 1) / 6
    for (i, j), weight in weights.items():
        expected = math.exp(-((j - 6) ** 2) / (2 * across**2) - (i - 6) ** 2 / (2 * down**2))
        assert weight / weights[6, 6] == pytest.approx(expected)
    assert sum(weights.values()) == pytest.approx(1)


def test_the_own_cell_comes_first() -> None:
    samples = sample([[0, 0, 60, 60], [0, 0, 60, 60]], [[9, 9], [4, 4]])
    starts = [samples.owner.tolist().index(number) for number in (0, 1)]
    assert samples.cell[starts].tolist() == [[9, 9], [4, 4]]
    assert samples.owner.tolist() == sorted(samples.owner.tolist())


def test_a_small_object_has_its_neighbours_as_far_as_they_lie_in_its_box() -> None:
    samples = sample([[22, 22, 29, 29]], [[6, 6]])  # alpha * 7 / 2 is less than a cell of 4 pixels
    assert cells_of(samples, 0) == {(6, 6), (6, 7), (7, 6), (7, 7)}  # cell 5 stands for the point 20
    assert (samples.size[1:] > 0).all()


def test_a_thin_object_keeps_its_own_cell_although_its_point_lies_outside() -> None:
    samples = sample([[21, 22, 24, 60]], [[10, 5]])
    assert cells_of(samples, 0) == {(10, 5)}
    assert samples.size.tolist() == [[-1, 18, 4, 20]]
    assert samples.weight.tolist() == [1]


def test_the_smaller_of_two_has_the_cells_they_share_but_for_the_others_own() -> None:
    samples = sample([[0, 0, 64, 64], [20, 20, 48, 48]], [[8, 8], [8, 9]])
    small = cells_of(samples, 1)
    assert (8, 8) in cells_of(samples, 0)
    assert (8, 8) not in small
    assert (7, 9) in small
    assert not small & cells_of(samples, 0)


def test_two_objects_of_one_cell_both_have_it() -> None:
    samples = sample([[0, 0, 64, 64], [30, 30, 34, 34]], [[8, 8], [8, 8]])
    assert (8, 8) in cells_of(samples, 0) & cells_of(samples, 1)


def test_the_canvas_edge_cuts_the_gaussian_off() -> None:
    samples = sample([[0, 0, 64, 64]], [[0, 15]])
    assert (samples.cell >= 0).all()
    assert (samples.cell < 16).all()
    assert samples.weight.sum() == pytest.approx(1)


def test_no_objects_have_no_samples() -> None:
    nothing = dense_samples(np.zeros((0, 4)), np.zeros((0, 2), np.int64), canvas=CANVAS, alpha=0.54)
    assert nothing.cell.shape == (0, 2)
    assert choose_mask_cells(nothing, np.zeros(0, bool), count=3, random=np.random.default_rng(0)).shape == (
        0,
    )


def test_masks_are_learnt_at_the_own_cell_and_at_others_by_their_weight() -> None:
    samples = sample([[8, 8, 56, 56], [0, 0, 12, 12], [60, 60, 64, 64]], [[8, 8], [1, 1], [15, 15]])
    masked, random = np.array([True, False, True]), np.random.default_rng(0)
    drawn = np.array([choose_mask_cells(samples, masked, count=3, random=random) for _ in range(999)])
    owned = samples.owner == 0
    assert set(drawn[:, owned].sum(axis=1)) == {3}
    assert drawn[:, np.flatnonzero(owned)[0]].all()
    assert not drawn[:, samples.owner == 1].any()
    assert drawn[:, samples.owner == 2].all()  # it has but one cell
    others = np.flatnonzero(owned)[1:]
    times = drawn[:, others].sum(axis=0)
    assert times[samples.weight[others].argmax()] > 10 * max(1, times[samples.weight[others].argmin()])


@given(st.integers(0, 79), st.integers(0, 79), st.lists(st.floats(0, 320), min_size=4, max_size=4))
def test_equation_1_gives_the_box_back(i: int, j: int, box: list[float]) -> None:
    ((left, top, right, bottom),) = distances(np.array([box]), np.array([[i, j]])).tolist()
    decoded = [4 * j - left, 4 * i - top, 4 * j + right, 4 * i + bottom]
    assert decoded == pytest.approx(box)
