"""Rounding of kernels to fp16."""

import numpy as np
import pytest

from training.export.quantize import round_kernels


@pytest.fixture
def edges() -> np.ndarray:
    """Kernels like those of MobileNet's first block: taps around 50 whose sum is near 0."""
    kernels = np.random.default_rng(1).normal(0, 30, (64, 9)).astype(np.float32)
    kernels[:, -1] = -kernels[:, :-1].sum(axis=1) + 0.01
    return kernels


def test_rounded_kernels_fit_fp16_and_keep_their_sums(edges: np.ndarray) -> None:
    settled = round_kernels(edges)
    np.testing.assert_array_equal(settled, settled.astype(np.float16))
    rounded = edges.astype(np.float16).astype(np.float64)
    errors = [
        abs(each.sum(axis=1) - edges.sum(axis=1)).mean() for each in (settled.astype(np.float64), rounded)
    ]
    assert errors[0] < errors[1] / 10


def test_no_tap_moves_by_more_than_a_step_of_fp16_of_the_largest(edges: np.ndarray) -> None:
    steps = np.spacing(abs(edges).max(axis=1).astype(np.float16)).astype(np.float32)
    assert (abs(round_kernels(edges) - edges) <= steps[:, None]).all()


def test_what_fp16_can_hold_already_stays(edges: np.ndarray) -> None:
    held = edges.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(round_kernels(held), held)
    assert round_kernels(np.zeros((2, 9), np.float32)).tolist() == np.zeros((2, 9)).tolist()
