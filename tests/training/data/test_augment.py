"""Views: pixels, points, boxes and masks must all go to the same place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.inference.canvas import letterbox
from service.inference.golden import draw_picture
from service.types import Size
from training.data.augment import Augmentation, View, change_colours, draw_view, fit_view

extents = st.integers(8, 200)
sizes = st.builds(Size, extents, extents)
views = st.builds(
    View,
    image=sizes,
    canvas=st.just(Size(96, 128)),
    resized=sizes,
    offset_x=st.integers(-60, 60),
    offset_y=st.integers(-60, 60),
    mirrored=st.booleans(),
)


@given(views, st.floats(0, 200), st.floats(0, 200))
def test_points_come_back(view: View, x: float, y: float) -> None:
    point = np.array([x, y])
    assert view.points_to_image(view.place_points(point)) == pytest.approx(point, abs=1e-6)


@settings(deadline=None)
@given(views)
def test_a_mask_covers_the_cells_that_its_pixels_cover(view: View) -> None:
    """A white block on black, placed as a picture and as a mask; cells at its blurred rim may differ."""
    mask = np.zeros((view.image.height, view.image.width), np.uint8)
    mask[view.image.height // 4 : view.image.height // 2, view.image.width // 3 :] = 1
    pixels = view.place_pixels(np.repeat(mask[:, :, None] * np.uint8(255), 3, axis=2))[:, :, 0]
    drawn = view.sample_mask(mask, 1.0)
    decided = (pixels < 60) | (pixels > 195)
    outside = view.place_pixels(np.zeros((*mask.shape, 3), np.uint8))[:, :, 0] > 0  # the fill
    assert ((pixels > 127) == drawn)[decided & ~outside].all()
    assert not drawn[outside].any()


@given(views)
def test_a_box_goes_where_its_corners_go(view: View) -> None:
    box = view.place_box((2.0, 3.0, 4.0, 5.0))
    corners = view.place_points(np.array([[2.0, 3.0], [6.0, 8.0]]))
    assert box == pytest.approx(np.concatenate([corners.min(axis=0), corners.max(axis=0)]))


def test_a_mirrored_view_turns_left_into_right() -> None:
    view = View(Size(10, 20), Size(32, 32), Size(10, 20), mirrored=True)
    assert view.place_box((0, 0, 5, 10)).tolist() == [15, 0, 20, 10]
    mask = np.zeros((10, 20), np.uint8)
    mask[:, :5] = 1
    assert view.sample_mask(mask, 1.0)[:10, :20].tolist() == mask[:, ::-1].tolist()


def test_cells_are_sampled_at_their_centres() -> None:
    """The centre of the cell over [4, 8) is x = 6, where pixel 6 begins."""
    view = View(Size(8, 12), Size(8, 12), Size(8, 12))
    mask = np.zeros((8, 12), np.uint8)
    mask[:, 6:] = 1
    assert view.sample_mask(mask, 4.0).tolist() == [[0, 1, 1]] * 2
    mask[:, 6] = 0
    assert view.sample_mask(mask, 4.0).tolist() == [[0, 0, 1]] * 2


@pytest.mark.parametrize("size", [Size(240, 320), Size(333, 500), Size(77, 31), Size(320, 320), Size(5, 400)])
def test_the_fitting_view_is_the_services_letterbox(size: Size) -> None:
    pixels, canvas = draw_picture(size, seed=3), Size(320, 320)
    expected, placement = letterbox(pixels, canvas)
    view = fit_view(size, canvas)
    assert view.resized == placement.placed
    assert (view.place_pixels(pixels) == expected).all()


def test_drawn_views_stay_in_their_ranges_and_keep_something_in_sight() -> None:
    augmentation = Augmentation(scale=(0.5, 2.0), aspect=(0.8, 1.25))
    image, canvas = Size(300, 400), Size(320, 320)
    random = np.random.default_rng(0)
    drawn = [draw_view(image, canvas, augmentation, random) for _ in range(300)]
    scales = np.array([np.sqrt(view.scale_x * view.scale_y) / 0.8 for view in drawn])
    aspects = np.array([view.scale_x / view.scale_y for view in drawn])
    assert scales.min() >= 0.49
    assert scales.max() <= 2.01
    assert scales.max() / scales.min() > 3
    assert aspects.min() >= 0.79
    assert aspects.max() <= 1.26
    assert {view.mirrored for view in drawn} == {True, False}
    for view in drawn:
        spare_x, spare_y = canvas.width - view.resized.width, canvas.height - view.resized.height
        assert min(0, spare_x) <= view.offset_x <= max(0, spare_x)
        assert min(0, spare_y) <= view.offset_y <= max(0, spare_y)


def test_the_same_random_numbers_draw_the_same_view() -> None:
    first, second = (
        draw_view(Size(50, 60), Size(64, 64), Augmentation(), np.random.default_rng((1, 2))) for _ in range(2)
    )
    assert first == second


def test_colours_change_within_bounds_and_not_at_all_with_an_idle_augmentation() -> None:
    pixels = draw_picture(Size(40, 50), seed=1)
    idle = Augmentation(brightness=0, contrast=0, saturation=0, hue=0)
    same = change_colours(pixels, idle, np.random.default_rng(0))
    assert abs(same.astype(int) - pixels).max() <= 5  # HSV in 8 bits rounds
    changed = change_colours(pixels, Augmentation(), np.random.default_rng(0))
    assert changed.dtype == np.uint8
    assert 2 < abs(changed.astype(int) - pixels).mean() < 90
