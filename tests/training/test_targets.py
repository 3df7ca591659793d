"""Heatmap, centres and sizes against hand-worked values and the definition of IoU."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.types import Size
from training.targets import centre_cell, draw_gaussian, gaussian_radius, mass_centre

sides = st.floats(1, 300)


@given(sides, sides, st.floats(0.1, 0.9))
def test_boxes_moved_by_the_radius_keep_the_overlap_and_by_more_do_not(
    height: float, width: float, overlap: float
) -> None:
    def worst_iou(radius: float) -> float:
        area = height * width
        shifted = (height - radius) * (width - radius)
        shrunk = max(0.0, height - 2 * radius) * max(0.0, width - 2 * radius)
        grown = (height + 2 * radius) * (width + 2 * radius)
        return min(shifted / (2 * area - shifted), shrunk / area, area / grown)

    radius = gaussian_radius(height, width, overlap)
    assert worst_iou(radius) == pytest.approx(overlap)
    assert worst_iou(radius * 1.01) < overlap


def test_a_gaussian_has_its_peak_at_the_cell_and_sigma_a_sixth_of_its_width() -> None:
    heat = np.zeros((9, 9), np.float32)
    draw_gaussian(heat, (4, 3), radius=2)
    sigma = 5 / 6
    assert heat[4, 3] == 1
    assert heat[4, 4] == pytest.approx(math.exp(-1 / (2 * sigma**2)))
    assert heat[6, 1] == pytest.approx(math.exp(-8 / (2 * sigma**2)))
    assert np.count_nonzero(heat) == 25


def test_a_gaussian_without_radius_is_one_cell() -> None:
    heat = np.zeros((3, 3), np.float32)
    draw_gaussian(heat, (0, 2), radius=0)
    assert np.argwhere(heat).tolist() == [[0, 2]]


def test_where_gaussians_meet_the_higher_stays() -> None:
    heat, other = np.zeros((5, 9), np.float32), np.zeros((5, 9), np.float32)
    draw_gaussian(heat, (2, 3), radius=2)
    draw_gaussian(other, (2, 5), radius=2)
    expected = np.maximum(heat, other)
    draw_gaussian(heat, (2, 5), radius=2)
    assert (heat == expected).all()


def test_a_gaussian_is_cut_off_at_the_border() -> None:
    whole, cut = np.zeros((9, 9), np.float32), np.zeros((5, 5), np.float32)
    draw_gaussian(whole, (4, 4), radius=3)
    draw_gaussian(cut, (0, 4), radius=3)
    assert (cut[:, :] == whole[4:, :5]).all()


def test_the_mass_centre_of_an_l_is_not_its_boxs_centre() -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[:, 0] = 1
    mask[3, :] = 1
    expected = [(4 * 0.5 + 1.5 + 2.5 + 3.5) / 7, (0.5 + 1.5 + 2.5 + 4 * 3.5) / 7]
    assert mass_centre(mask).tolist() == pytest.approx(expected)


def test_an_empty_mask_has_no_mass_centre() -> None:
    assert np.isnan(mass_centre(np.zeros((3, 0), np.uint8))).all()


@pytest.mark.parametrize(
    ("point", "cell"), [((0, 0), (0, 0)), ((3.9, 4.0), (1, 0)), ((64, 32), (7, 15)), ((-1, 31.9), (7, 0))]
)
def test_a_point_belongs_to_the_cell_that_covers_it(
    point: tuple[float, float], cell: tuple[int, int]
) -> None:
    assert centre_cell(np.array(point), Size(32, 64)) == cell
