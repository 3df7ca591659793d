"""The share of a mask inside its box."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from service.inference.decoding.containment import share_inside
from service.types import Floats

fields = hnp.arrays(
    np.float32,
    st.tuples(st.integers(0, 4), st.integers(1, 6), st.integers(1, 6)),
    elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0]),
)


def share_slowly(field: Floats, box: Floats, level: float) -> float:
    """Cell by cell."""
    height, width = field.shape
    left, top = (max(int(np.floor(value)), 0) for value in box[:2])
    left, top = min(left, width - 1), min(top, height - 1)
    right, bottom = (int(np.ceil(value)) for value in box[2:])
    inside = field[top : max(bottom, top + 1), left : max(right, left + 1)] > level
    return float(inside.sum() / max(1, (field > level).sum()))


@given(fields=fields, level=st.sampled_from([0.0, 0.25]), seed=st.integers(0, 99))
def test_it_is_what_counting_cells_gives(fields: Floats, level: float, seed: int) -> None:
    corners = np.random.default_rng(seed).uniform(-3, 9, (len(fields), 4)).astype(np.float32)
    boxes = np.concatenate([corners[:, :2], corners[:, :2] + abs(corners[:, 2:])], axis=1)
    expected = [share_slowly(field, box, level) for field, box in zip(fields, boxes, strict=True)]
    found = share_inside(fields, boxes, level)
    assert found.dtype == np.float32
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("box", "share"),
    [
        ([0, 0, 4, 4], 1.0),
        ([1, 1, 2, 2], 1 / 16),
        ([1.5, 1.5, 1.6, 1.6], 1 / 16),  # no centre of a cell is in it, but it touches one
        ([-9, -9, -8, -8], 1 / 16),  # the nearest
        ([3.5, 0, 99, 99], 4 / 16),
    ],
)
def test_a_box_holds_the_cells_it_touches(box: list[float], share: float) -> None:
    field = np.ones((1, 4, 4), np.float32)
    assert share_inside(field, np.array([box], np.float32), 0.0).tolist() == [share]


def test_of_an_empty_mask_nothing_is_inside() -> None:
    assert share_inside(np.zeros((1, 4, 4), np.float32), np.array([[0, 0, 4, 4]], np.float32), 0.0) == 0
